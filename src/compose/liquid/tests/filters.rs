//! Filters, with the vectors of Braze's own page.

use super::{all_give, failure, text};

#[test]
fn brazes_vectors_hold() {
    all_give(&[
        ("{{ 'hey' | md5 }}", "6057f13c496ecf7fd777ceb9e79ae285"),
        ("{{ 'hey' | sha1 }}", "7f550a9f4c44173a37664d938f1355f0f92a47a7"),
        ("{{ 'hey' | sha2 }}", "fa690b82061edfd2852629aeba8a8977b57e40fcb77d1a7a28b26cba62591204"),
        (
            "{{ 'hey' | sha256 }}",
            "fa690b82061edfd2852629aeba8a8977b57e40fcb77d1a7a28b26cba62591204",
        ),
        ("{{ 'blah' | base64_encode }}", "YmxhaA=="),
        ("{{ 'YmxhaA==' | base64_decode }}", "blah"),
        ("{{ 'hey' | hmac_sha1_hex: 'secret_key' }}", "2a3969bed25bfeefb00aca4063eb9590b4df8f0e"),
        ("{{ 'hey' | hmac_sha1: 'secret_key' }}", "2a3969bed25bfeefb00aca4063eb9590b4df8f0e"),
        ("{{ 'hey' | hmac_sha1_base64: 'secret_key' }}", "KjlpvtJb/u+wCspAY+uVkLTfjw4="),
        (
            "{{ 'hey' | hmac_sha256_hex: 'secret_key' }}",
            "8df897f8da3d7992fe57c8dbc6f27578cfbf2dcc4d0fbb4000b8c924841d508e",
        ),
        (
            "{{ 'hey' | hmac_sha256_base64: 'secret_key' }}",
            "jfiX+No9eZL+V8jbxvJ1eM+/LcxND7tAALjJJIQdUI4=",
        ),
        ("{{ 'hey<>hi' | url_escape }}", "hey%3C%3Ehi"),
        ("{{ 'hey<&>hi' | url_escape }}", "hey%3C&%3Ehi"),
        ("{{ 'hey<&>hi' | url_param_escape }}", "hey%3C%26%3Ehi"),
        ("{{ 'google search' | url_encode }}", "google+search"),
        ("{{ '123456' | number_with_delimiter }}", "123,456"),
        ("{{ -1234567.891 | number_with_delimiter: '.' }}", "-1.234.567.891"),
        ("{{ 'x1' | number_with_delimiter }}{{ 12 | number_with_delimiter }}", "x112"),
        ("{{ properties.object | property_accessor: 'b' }}", "1"),
    ]);
}

#[test]
fn urls_are_encoded_and_decoded() {
    all_give(&[
        ("{{ 'a b&c/d~*é' | url_encode }}", "a+b%26c%2Fd~%2A%C3%A9"),
        ("{{ 'a+b%20c%zz%' | url_decode }}", "a b c%zz%"),
        ("{{ 'https://a.example/b c?d=e%' | url_escape }}", "https://a.example/b%20c?d=e%25"),
        ("{{ 'a b+c' | url_param_escape }}", "a%20b%2Bc"),
        ("{{ nil | url_encode }}{{ 7 | url_encode }}", "7"),
        ("{{ '??>' | base64_url_safe_encode }}{{ 'Pz8-' | base64_url_safe_decode }}", "Pz8-??>"),
    ]);
    assert!(failure("{{ '%ff' | url_decode }}").contains("not UTF-8"));
    assert!(failure("{{ 'a' | base64_decode }}").contains("not base64"));
}

#[test]
fn numbers_are_reckoned_in_decimal() {
    all_give(&[
        ("{{ 0.1 | plus: 0.2 }} {{ 4.35 | times: 100 }} {{ 20 | minus: 3.5 }}", "0.3 435.0 16.5"),
        ("{{ -7 | divided_by: 2 }} {{ -7 | modulo: 3 }} {{ 7 | modulo: -3 }}", "-4 2 -2"),
        (
            "{{ 7 | divided_by: 2.0 }} {{ 24.0 | modulo: 7 }} {{ 1.0 | divided_by: 3 }}",
            "3.5 3.0 0.3333333333333333",
        ),
        (
            "{{ '3.5' | plus: 1 }} {{ 'abc' | plus: 1 }} {{ '12abc' | plus: 1}} {{ nil | plus: 1 }}",
            "4.5 1 13 1",
        ),
        ("{{ 1.5 | times: 2 }} {{ 19.99 | times: 3 }}", "3.0 59.97"),
        (
            "{{ 2.5 | round }} {{ -2.5 | round }} {{ 3.14159 | round: 2 }} {{ 1.005 | round: 2 }}",
            "3 -3 3.14 1.01",
        ),
        (
            "{{ 3 | round: 2 }} {{ '3.0' | round: 1 }} {{ 1234.5 | round: -2 }} {{ 4.6 | round }}",
            "3 3.0 1200 5",
        ),
        ("{{ 3.0 | ceil }} {{ 3.2 | ceil }} {{ -3.2 | floor }} {{ '3.4' | ceil }}", "3 4 -4 4"),
        (
            "{{ -3.5 | abs }} {{ '-3' | abs }} {{ 5 | at_least: 8 }} {{ '5' | at_most: 3 }}",
            "3.5 3 8 3",
        ),
        (
            "{{ 100000000000000000.0 }} {{ 0.00001 }} {{ 0.0001 }} {{ 1234567890123456.0 }}",
            "1.0e+17 1.0e-05 0.0001 1234567890123456.0",
        ),
        ("{{ properties.one }} {{ properties.one | plus: 1 }} {{ -0.0 }}", "1.0 2.0 -0.0"),
    ]);
    for source in [
        "{{ 9223372036854775807 | plus: 1 }}",
        "{{ -9223372036854775807 | minus: 2 }}",
        "{{ 2000000000000 | times: 20000000 }}",
        "{{ '99999999999999999999' | plus: 0 }}",
        "{{ 100000000000000000000.0 | round }}",
        "{{ properties.big | plus: 1 }}",
    ] {
        assert!(failure(source).contains("too large"), "{source}");
    }
    for source in ["{{ 1 | divided_by: 0 }}", "{{ 1 | modulo: 0 }}", "{{ 1.5 | divided_by: 0 }}"] {
        assert!(failure(source).contains("divided by 0"), "{source}");
    }
}

#[test]
fn texts_are_cut_and_joined() {
    all_give(&[
        ("{{ 'a' | append: 1 }}{{ nil | append: 'b' }}{{ 'c' | prepend: 1.5 }}", "a1b1.5c"),
        (
            "{{ 'hELLO wORLD' | capitalize }}{{ 'ß' | upcase }}{{ true | upcase }}{{ 'É' | downcase }}",
            "Hello worldSSTRUEé",
        ),
        ("{{ '  x ' | strip }}|{{ '  x ' | lstrip }}|{{ '  x ' | rstrip }}|", "x|x |  x|"),
        (
            "{{ 'aaa' | replace: 'a', 'b' }}{{ 'aaa' | replace_first: 'a', 'b' }}{{ 'aaa' | replace_last: 'a', 'b' }}",
            "bbbbaaaab",
        ),
        (
            "{{ 'x y z' | remove: ' ' }}{{ 'hello' | remove_last: 'l' }}{{ 'hello' | remove_first: 'l' }}",
            "xyzhelohelo",
        ),
        ("{{ 'abc' | replace: '', '-' }}{{ 'abc' | replace: 'b' }}", "-a-b-c-ac"),
        ("{{ 'a,b,,' | split: ',' | size }}{{ '' | split: ',' | size }}", "20"),
        (
            "{{ 'abc' | split: '' | join: '-' }} {{ ' a  b ' | split: ' ' | join: '-' }}",
            "a-b-c a-b",
        ),
        (
            "{{ 'The quick brown fox' | truncatewords: 2 }}|{{ 'a b' | truncatewords: 2 }}|{{ 'a b' | truncatewords: 0 }}",
            "The quick...|a b|a...",
        ),
        (
            "{{ 'abcdef' | truncate: 4 }}|{{ 'abcdef' | truncate: 2 }}|{{ 'abcdef' | truncate: 4, '' }}|{{ 'é' | truncate: 1 }}",
            "a...|...|abcd|é",
        ),
        (
            "{{ 'abcdef' | slice: -3, 2 }}|{{ 'abcdef' | slice: 2 }}|{{ 'abc' | slice: 10 }}|{{ 'abc' | slice: -9 }}|{{ 'aéb' | slice: 1, 9 }}",
            "de|c|||éb",
        ),
        (
            "{{ \"a\r\nb\nc\r\" | strip_newlines }}|{{ \"a\nb\" | newline_to_br }}",
            "abc\r|a<br />\nb",
        ),
        (
            "{{ '<b>x</b><!-- a > b -->y<script>z</script>' | strip_html }}{{ 'a < b' | strip_html }}",
            "xya < b",
        ),
        (
            "{{ \"<a&b>'\" | escape }}{{ '&lt;<&#39;&x' | escape_once }}{{ 'a &' | escape_once }}",
            "&lt;a&amp;b&gt;&#39;&lt;&lt;&#39;&amp;xa &amp;",
        ),
        ("{{ 'a' | upcase | append: 'b', }}", "Ab"),
    ]);
}

#[test]
fn defaults_take_the_place_of_nothing() {
    all_give(&[
        ("{{ false | default: 'x' }}{{ false | default: 'x', allow_false: true }}", "xfalse"),
        ("{{ '' | default: 'y' }}{{ 0 | default: 'z' }}{{ nil | default: 'n' }}", "y0n"),
        ("{{ properties.empty_list | default: 'e' }}{{ ' ' | default: 'b' }}", "e "),
        ("{{ properties.none.at.all | default: properties.count }}", "3"),
    ]);
}

#[test]
fn arrays_are_sorted_and_sifted() {
    all_give(&[
        (
            "{{ properties.numbers | sort | join }}{{ properties.numbers | sort | reverse | join: '' }}",
            "1 2 3321",
        ),
        (
            "{{ 'b,A,c' | split: ',' | sort | join: ',' }} {{ 'b,A,c' | split: ',' | sort_natural | join: ',' }}",
            "A,b,c A,b,c",
        ),
        ("{{ properties.people | sort: 'age' | map: 'name' | join: ' ' }}", "ann Bo Cy"),
        ("{{ properties.people | sort_natural: 'name' | map: 'name' | join: ' ' }}", "ann Bo Cy"),
        (
            "{{ properties.people | where: 'vip' | map: 'name' }}{{ properties.people | where: 'age', 25 | map: 'name' }}",
            "Boann",
        ),
        ("{{ properties.people | reject: 'vip' | map: 'name' | join: ' ' }}", "ann Cy"),
        (
            "{{ properties.people | find: 'age', 35 | json }}",
            "{\"age\":35,\"name\":\"Cy\",\"vip\":false}",
        ),
        (
            "{{ properties.people | find_index: 'age', 35 }}{{ properties.people | has: 'age', 1 }}",
            "2false",
        ),
        (
            "{{ properties.people | map: 'vip' | compact | size }}{{ properties.people | compact: 'vip' | size }}",
            "22",
        ),
        (
            "{{ properties.people | sum: 'age' }} {{ '1,2.5' | split: ',' | sum }} {{ nil | sum }}",
            "90 3.5 0",
        ),
        (
            "{{ 'a,b,a' | split: ',' | uniq | join }} {{ properties.people | uniq: 'none' | size }}",
            "a b 1",
        ),
        ("{{ properties.list | concat: properties.numbers | join: '' }}", "abc312"),
        (
            "{{ properties.list | first }}{{ properties.list | last }}{{ 'xyz' | first }}{{ 'xyz' | last }}{{ 5 | first }}",
            "acxz",
        ),
        ("{{ 'é1' | size }}{{ properties.list | size }}{{ 5 | size }}{{ (3..1) | size }}", "2300"),
        (
            "{{ (1..4) | join: ',' }} {{ (1..4) | slice: 1, 2 | join }} {{ 'abc' | reverse }}",
            "1,2,3,4 2 3 abc",
        ),
        ("{{ properties.nested.list | join: ',' }}", "1,2,3"),
    ]);
    assert!(failure("{{ 'a' | concat: 'b' }}").contains("needs an array, not a text"));
    assert!(failure("{{ properties.people | sort }}").contains("no order"));
    assert!(
        failure("{% assign x = 'a' | split: ',' | concat: properties.numbers | sort %}")
            .contains("no order between a text and a number")
    );
}

#[test]
fn json_is_written_and_read() {
    assert_eq!(text("{{ properties.name | json }}"), r#""Ada \"the\" Countess""#);
    assert_eq!(text("{{ properties.object | to_json }}"), r#"{"a":[true,null],"b":1}"#);
    assert_eq!(text("{{ properties.name | json_escape }}"), r#"Ada \"the\" Countess"#);
    all_give(&[
        (
            "{{ nil | json }}{{ 1.0 | json }}{{ true | as_json_string }}{{ (1..3) | json }}",
            "null1.0true[1,2,3]",
        ),
        (
            "{% assign o = '{\"b\":[1,{\"c\":null}],\"a\":2}' | json_parse %}{{ o.b[0] }}{{ o.a }}{{ o | json }}",
            "12{\"b\":[1,{\"c\":null}],\"a\":2}",
        ),
        ("{{ '{\"a\":1,\"b\":2,\"a\":3}' | json_parse | json }}", "{\"a\":3,\"b\":2}"),
        ("{{ '18446744073709551615' | json_parse }}{{ 5 | json_parse }}", "184467440737095516155"),
    ]);
    assert!(failure("{{ '{' | json_parse }}").contains("not JSON"));
}
