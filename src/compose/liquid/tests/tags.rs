//! Tags and white space.

use super::{all_give, all_refused, failure, refusal, text};

#[test]
fn conditions_follow_liquids_truth() {
    all_give(&[
        ("{% if '' %}1{% endif %}{% if 0 %}2{% endif %}{% if nil %}3{% endif %}", "12"),
        ("{% if properties.none == 'a' %}1{% else %}2{% endif %}", "2"),
        ("{% if false and false or true %}T{% else %}F{% endif %}", "F"),
        ("{% if true or false and false %}T{% else %}F{% endif %}", "T"),
        ("{% if 1 == 1.0 %}1{% endif %}{% if '1' == 1 %}2{% endif %}", "1"),
        ("{% if nil == false %}1{% endif %}{% if nil == nil %}2{% endif %}", "2"),
        ("{% if nil < 1 or nil > 1 or 1 <= nil %}1{% else %}0{% endif %}", "0"),
        ("{% if 'a' < 'b' and 2 >= 2 and 1 <> 2 and 1 != 2 %}1{% endif %}", "1"),
        ("{% if '' == blank %}1{% endif %}{% if ' ' == blank %}2{% endif %}", "12"),
        ("{% if nil == blank %}3{% endif %}{% if false == blank %}4{% endif %}", "34"),
        ("{% if nil == empty %}5{% endif %}{% if '' == empty %}6{% endif %}", "6"),
        (
            "{% if properties.empty_list == empty and properties.empty_object == empty %}7{% endif %}",
            "7",
        ),
        (
            "{% if properties.list contains 'b' %}1{% endif %}{% if 'a1' contains 1 %}2{% endif %}",
            "12",
        ),
        ("{% if nil contains 'a' or 'a' contains nil %}1{% else %}0{% endif %}", "0"),
        ("{% if properties.object contains 'a' %}1{% endif %}", "1"),
        ("{% unless true %}a{% elsif true %}b{% else %}c{% endunless %}", "b"),
        ("{% unless false %}a{% else %}c{% endunless %}", "a"),
        ("{% if false %}a{% elsif false %}b{% elsif 1 %}c{% else %}d{% endif %}", "c"),
    ]);
    assert!(failure("{% if '7' > 5 %}{% endif %}").contains("| plus: 0"));
}

#[test]
fn case_runs_all_that_match() {
    all_give(&[
        ("{% case 1 %}{% when 1 %}a{% when 1, 1 %}b{% else %}c{% endcase %}", "abb"),
        ("{% case 'x' %} lost {% when 'y' or 'x' %}b{% else %}c{% endcase %}", "b"),
        ("{% case nil %}{% when 1 %}a{% else %}c{% endcase %}", "c"),
    ]);
}

#[test]
fn loops_count_and_stop() {
    all_give(&[
        ("{% for i in (1..3) %}{{ i }}{% endfor %}", "123"),
        ("{% for i in (1..3) reversed limit:2 offset:1 %}{{i}}{% endfor %}", "32"),
        (
            "{% for i in (1..6) limit: 2 %}{{ i }}{% endfor %}{% for i in (1..6) offset: continue %}{{ i }}{% endfor %}",
            "123456",
        ),
        ("{% for i in properties.none %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in (3..1) %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in 'abc' %}[{{i}}]{% endfor %}", "[abc]"),
        ("{% for p in properties.object %}{{ p[0] }}={{ p[1] }};{% endfor %}", "a=true;b=1;"),
        (
            "{% for i in (1..9) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "2",
        ),
        (
            "{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.rindex0 }}{{ forloop.name }} {% endfor %}{% endfor %}",
            "11j-(1..2) 10j-(1..2) 21j-(1..2) 20j-(1..2) ",
        ),
        (
            "{% for x in properties.list %}{{ forloop.index0 }}{{ forloop.rindex }}{{ forloop.length }}{{ forloop.first }}{{ forloop.last }} {% endfor %}",
            "033truefalse 123falsefalse 213falsetrue ",
        ),
        (
            "{{ forloop.index }}{% assign a = 'x' %}{% for a in (1..2) %}{{ a }}{% assign a = 'q' %}{% endfor %}{{ a }}",
            "12q",
        ),
        ("a{% break %}b", "a"),
        ("{% for x in properties.nested.list %}{{ x[0] }}{% endfor %}", "13"),
        ("{% assign n = 2 %}{% for i in (n..properties.count) %}{{ i }}{% endfor %}", "23"),
        ("{% for i in (1..5) limit: n %}{{ i }}{% endfor %}", ""),
    ]);
    assert!(failure("{% for i in (1..5) limit: 1.5 %}{% endfor %}").contains("whole number"));
}

#[test]
fn variables_are_assigned_captured_and_counted() {
    all_give(&[
        ("{% assign x = 1 | plus: 2 %}{{ x }}", "3"),
        ("{% capture x %}a{{ 1 }}{% endcapture %}{{ x }}{{ x.size }}", "a12"),
        ("{% capture 'x' %}b{% endcapture %}{{ x }}", "b"),
        (
            "{% increment x %}{% increment x %}{{ x }}{% decrement x %}{% decrement y %}{{y}}{% assign x = 9 %}{{ x }}{% increment x %}",
            "0121-1-191",
        ),
        (
            "{% cycle 'a','b' %}{% cycle 'a','b' %}{% cycle 'g': 'a','b' %}{% cycle 'g': 'x','y' %}{% cycle 'a','b' %}",
            "abaya",
        ),
        ("{% for i in (1..3) %}{% cycle i: 'a','b' %}{% endfor %}", "aaa"),
        ("{% assign a-b = 3 %}{{ a-b }}{{a-b-}}  {{-a-b-}} x", "333x"),
        ("{% assign properties = 1 %}{{ properties }}", "1"),
    ]);
}

#[test]
fn verbatim_parts_and_comments_are_settled_first() {
    all_give(&[
        ("{% raw %} {{ x }} {%- endraw -%} y", " {{ x }}y"),
        ("{% raw %}{% comment %}{% endraw %}", "{% comment %}"),
        ("a{% comment %}{% comment %}a{% endcomment %}{{ b{% endcomment %}c", "ac"),
        ("a{% comment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}c", "ac"),
        ("a{% # nothing {{ %}b {%- # c -%} d", "abd"),
        ("{% echo 'x' | upcase %}", "X"),
        (
            "{% liquid\n assign a = 1\n if a == 1\n echo 'one' | upcase\n endif\n # c\n comment\n if\n endcomment\n\n for i in (1..3)\n echo i\n endfor\n%}",
            "ONE123",
        ),
        ("{%- liquid\n echo 1\n-%}  x", "1x"),
        ("{{ '}}' }}{{ \"%}\" }}{% assign x = '%}' %}{{ x }}", "}}%}%}"),
        ("a } } %} }} b", "a } } %} }} b"),
        ("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"),
    ]);
}

#[test]
fn white_space_is_controlled() {
    all_give(&[
        ("a {{- 1 -}} b", "a1b"),
        ("a\n {%- if true -%} \n x \n {%- endif -%} \n b", "axb"),
        ("{{- 1}} {{ 2 -}} {{ 3 }}", "1 23"),
        ("{{-5}}", "-5"),
        ("{{ -5 }}{{- -5 }}", "-5-5"),
        ("{% if true %}  {% assign x = 1 %}  {% endif %}|", "|"),
        ("{% for i in (1..2) %} {% break %} {% endfor %}|", "|"),
        ("{% if true %} {% if true %} {% endif %} {% endif %}|", "|"),
        ("{% if true %} {{ '' }} {% endif %}|", "  |"),
        ("{% if false %}x{% else %} {% endif %}|", " |"),
    ]);
}

#[test]
fn ill_formed_blocks_are_refused() {
    all_refused(&[
        ("{% if a %}", "`if` is never ended; write `{% endif %}`"),
        ("{% for a in b %}{% if a %}{% endfor %}", "`if` of line 1 is open"),
        ("{% endif %}", "has no tag before it"),
        ("{% else %}", "has no tag before it"),
        ("{% elseif a %}", "did you mean `elsif`?"),
        ("{% iff a %}", "did you mean `if`?"),
        ("{% if a %}{% else %}{% elsif b %}{% endif %}", "does not belong here"),
        ("{% if a %}{% else if b %}{% endif %}", "write `elsif`"),
        ("{% for a b %}{% endfor %}", "expected `in`"),
        ("{% for a in b limits: 2 %}{% endfor %}", "`limit:`"),
        ("{% assign x 1 %}", "expected `=`"),
        ("{% capture %}{% endcapture %}", "a name"),
        ("{% raw %}", "`raw` is never ended"),
        ("{% comment %}", "`comment` is never ended"),
        ("{% %}", "a tag needs a name"),
        ("{% liquid\n if a\n%}{% endif %}", "must end where it began"),
        ("{% liquid\n raw\n%}", "does not stand inside"),
        ("{% abort_message 'x' %}", "expected `(`"),
        ("{% liquid\n assign x = 'a\n b'\n%}", "line 2 column 13: the text is never closed"),
    ]);
    assert!(refusal("a\n{% unles x %}").starts_with("line 2 column 4: `unles` is no tag"));
}

#[test]
fn look_ups_never_fail() {
    all_give(&[
        ("{{ properties.list[0] }}{{ properties.list[-1] }}{{ properties.list[9] }}", "ac"),
        ("{{ properties.list.first }}{{ properties.list.last }}{{ properties.list.size }}", "ac3"),
        ("{{ properties.empty_list.first }}{{ properties.empty_list.last }}", ""),
        ("{{ properties.name.size }}{{ properties.object.size }}", "182"),
        ("{{ properties.name.x.y.z }}{{ a.b.c }}", ""),
        ("{{ properties.list }}{{ properties.object }}", "abc{\"a\":[true,null],\"b\":1}"),
        (
            "{{ properties.big }}{{ properties.one }}{{ properties.price }}",
            "184467440737095516151.019.99",
        ),
        ("{{ (1..3) }} {{ nil }}{{ true }}{{ empty }}", "1..3 true"),
    ]);
    assert_eq!(
        text("{% assign r = (1..1000000000) %}{{ r.size }}{{ r.last }}"),
        "10000000001000000000"
    );
}
