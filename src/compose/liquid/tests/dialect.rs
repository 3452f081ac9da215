//! Braze's spelling, and the names of the roots.

use super::{all_give, all_refused, text};

#[test]
fn braze_names_reach_their_roots() {
    all_give(&[
        ("{{${user_id}}}", "u-1"),
        ("{{ ${first_name} }}", "Ada"),
        ("{{${first_name} | upcase}}", "ADA"),
        ("{{custom_attribute.${plan}}}", "gold"),
        ("{{custom_attribute.${Favorite Color}}}", "mauve"),
        ("{{event_properties.${item}}}", "hat"),
        ("{{event_properties.${Gift Note} | default: 'none'}}", "hi"),
        ("{{api_trigger_properties.${count}}}", "3"),
        ("{{canvas_entry_properties.${x}}}{{context.${x}}}", "enteredentered"),
        ("{{campaign.${name}}}/{{campaign.${api_id}}}/{{campaign.${dispatch_id}}}", "Spring/c1/d1"),
        ("{{canvas.${name}}}", "Welcome"),
        ("{{${nobody}}}{{custom_attribute.${x}}}{{subscribed_state.${email}}}", ""),
        ("{{${nobody} | default: 'x'}}", "x"),
    ]);
}

#[test]
fn our_names_reach_their_roots() {
    all_give(&[
        (
            "{{ recipient.external_id }}/{{ recipient.attributes.plan }}/{{ recipient.plan }}",
            "u-1/gold/gold",
        ),
        ("{{ recipient['Favorite Color'] }}", "mauve"),
        ("{{ recipient.size }}", ""),
        ("{{ properties.name }}", "Ada \"the\" Countess"),
        ("{{ entry_properties.x }}{{ response.status }}", "entered201"),
        ("{{ now }}", "2026-11-24T07:00:00.123Z"),
        ("{{ ['properties'].count }}{{ ['properties']['count'] }}", "33"),
        ("{% assign k = 'count' %}{{ properties[k] }}{{ [k] }}", "3"),
    ]);
    assert!(
        text("{{ recipient | json }}").starts_with("{\"external_id\":\"u-1\",\"attributes\":{")
    );
}

#[test]
fn outputs_may_stand_inside_tags_and_outputs() {
    all_give(&[
        ("{% if {{custom_attribute.${plan}}} == 'gold' %}1{% endif %}", "1"),
        ("{% assign y = {{event_properties.${total}}} | plus: 1 %}{{ y }}", "121"),
        ("{% if {{ ${first_name} | size }} > 2 %}long{% endif %}", "long"),
        ("{% for x in {{properties.list}} %}{{ x }}{% endfor %}", "abc"),
        ("{{ 'a' | append: {{ ${first_name} }} }}", "aAda"),
        ("{% case {{custom_attribute.${plan}}} %}{% when 'gold' %}g{% endcase %}", "g"),
    ]);
}

#[test]
fn what_has_effects_is_refused_by_name() {
    all_refused(&[
        ("{% connected_content https://a.example :save x %}", "`connected_content` is not taken"),
        ("{% catalog_items games 1 %}", "there are no catalogs here"),
        ("{% catalog_selection_items a b %}", "there are no catalogs here"),
        ("{{content_blocks.${footer}}}", "`content_blocks` are not kept here"),
        ("{% render 'x' %}", "a template stands alone"),
        ("{% include 'x' %}", "a template stands alone"),
        ("{% layout 'x' %}", "a template stands alone"),
        ("{% tablerow x in y %}", "use `for`"),
    ]);
}

#[test]
fn strange_signs_are_explained() {
    all_refused(&[
        ("{{ }}", "empty"),
        ("{{ a", "never closed"),
        ("{% if a", "line 1 column 1: `{%` is never closed"),
        ("{{ 'a }}", "the text is never closed"),
        ("{{ “a” }}", "straight one"),
        ("{% if a && b %}", "write `and`"),
        ("{% if a || b %}{% endif %}", "no filter is taken here"),
        ("{% if a = 1 %}{% endif %}", "write `==`"),
        ("{% if (a and b) or c %}{% endif %}", "no parentheses"),
        ("{{ a.0 }}", "write [0]"),
        ("{{ 1e3 }}", "is no number"),
        ("{{ 99999999999999999999 }}", "too large"),
        ("{{ a b }}", "`b` is not expected here"),
        ("{{ a | }}", "the name of a filter"),
        ("{{ a | append }}", "one argument"),
        ("{{ a | upcase: 1 }}", "no argument"),
        ("{{ a | default: 1, allow: true }}", "has no `allow:`"),
        ("{{ ${ } }}", "needs a name"),
        ("{{ a + 1 }}", "| plus: 1"),
    ]);
}
