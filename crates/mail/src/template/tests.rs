#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn html(template: &str, data: Value) -> String {
    Template::parse(template).unwrap().html(&data).unwrap()
}

fn text(template: &str, data: Value) -> String {
    Template::parse(template).unwrap().text(&data).unwrap()
}

fn refused(template: &str) -> String {
    Template::parse(template).unwrap_err().to_string()
}

#[test]
fn fields_are_written() {
    let data = json!({"Email": "a@b.c", "Data": {"name": {"first": "Ann"}}});
    assert_eq!(html("Hi {{ .Data.name.first }} <{{.Email}}>", data.clone()), "Hi Ann &lt;a@b.c>");
    assert_eq!(text("{{$.Email}} {{ . | len }}", data), "a@b.c 2");
}

#[test]
fn what_is_missing_is_empty_in_html() {
    assert_eq!(html("[{{.X}}][{{.X.Y}}][{{.N}}]", json!({"N": null})), "[][][]");
    assert_eq!(text("[{{.X}}]", json!({})), "[<no value>]");
    let field_of_null = Template::parse("{{.N.X}}").unwrap().html(&json!({"N": null}));
    assert_eq!(field_of_null.unwrap_err().to_string(), "template: nil pointer evaluating interface {}.X");
}

#[test]
fn branches_take_what_is_not_empty() {
    let template = "{{if eq .kind \"a\"}}A{{else if .other}}O{{else}}-{{end}}";
    assert_eq!(text(template, json!({"kind": "a"})), "A");
    assert_eq!(text(template, json!({"kind": "b", "other": [1]})), "O");
    assert_eq!(text(template, json!({"kind": "b", "other": {}})), "-");
    assert_eq!(text("{{with .user}}{{.name}}{{else}}nobody{{end}}", json!({"user": {"name": "Ann"}})), "Ann");
    assert_eq!(text("{{with .user}}{{.name}}{{else}}nobody{{end}}", json!({})), "nobody");
}

#[test]
fn ranges_walk_lists_and_sorted_maps() {
    let data = json!({"list": ["a", "b"], "map": {"z": 1, "k": 2}});
    assert_eq!(text("{{range .list}}({{.}}){{end}}", data.clone()), "(a)(b)");
    assert_eq!(text("{{range $k, $v := .map}}{{$k}}={{$v}};{{end}}", data.clone()), "k=2;z=1;");
    assert_eq!(text("{{range .none}}x{{else}}nothing{{end}}", data.clone()), "nothing");
    assert_eq!(text("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", data), "a");
}

#[test]
fn variables_live_in_their_block() {
    let template = "{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$x}}{{$y}}{{end}}{{$x}}";
    assert_eq!(text(template, json!({})), "232");
    assert_eq!(refused("{{if true}}{{$y := 1}}{{end}}{{$y}}"), "template: line 1: undefined variable \"$y\"");
}

#[test]
fn trim_markers_eat_space_and_comments_vanish() {
    assert_eq!(text("a \n {{- /* c */ -}} \n b {{- \"c\" }} d", json!({})), "abc d");
    assert_eq!(text("{{3 -}} x {{- -3}}", json!({})), "3x-3");
}

#[test]
fn what_takes_too_much_is_refused() {
    let fails = |template: &str| Template::parse(template).unwrap().text(&json!({})).unwrap_err().to_string();
    let doubled = "{{$x := \"ab\"}}{{range 40}}{{$x = print $x $x}}{{end}}";
    assert_eq!(fails(doubled), "template: its values are too large");
    let deep = format!(
        "{{{{define \"t\"}}}}{}{{{{template \"t\"}}}}{}{{{{end}}}}{{{{template \"t\"}}}}",
        "{{if 1}}".repeat(60),
        "{{end}}".repeat(60)
    );
    assert_eq!(fails(&deep), "template: it is nested too deeply");
    let loops = format!("{}{}", "{{range 999999999}}".repeat(60), "{{end}}".repeat(60));
    assert_eq!(fails(&loops), "template: it takes too many steps");
}

#[test]
fn functions_are_those_of_go() {
    let data = json!({"s": "héllo", "n": 18.0, "list": [10, 20]});
    assert_eq!(
        text("{{printf \"%s|%5.1f|%-4v|%q\" .s .n \"ab\" .s}}", data.clone()),
        "héllo| 18.0|ab  |\"héllo\""
    );
    assert_eq!(text("{{.s | printf \"%s!\" | len}}", data.clone()), "7");
    assert_eq!(text("{{index .list 1}} {{slice .s 0 1}} {{len .list}}", data.clone()), "20 h 2");
    assert_eq!(text("{{and .s .n}} {{or .none .s}} {{not .s}}", data.clone()), "18 héllo false");
    assert_eq!(text("{{if and (ge .n 18) (lt .n 65)}}adult{{end}}", data.clone()), "adult");
    assert_eq!(
        text("{{urlquery \"a b&c\"}} {{html \"<\"}} {{print 1 2 \"x\"}}", data.clone()),
        "a%20b%26c &lt; 1 2x"
    );
    assert_eq!(text("{{.}}", json!({"b": [1, null], "a": {"c": 2.5}})), "map[a:map[c:2.5] b:[1 <nil>]]");
    let out_of_range = Template::parse("{{index .list 2}}").unwrap().text(&data);
    assert_eq!(out_of_range.unwrap_err().to_string(), "template: error calling index: index out of range");
}

#[test]
fn templates_call_each_other() {
    let template = "{{define \"row\"}}<b>{{.}}</b>{{end}}{{range .l}}{{template \"row\" .}}{{end}}{{block \"x\" .l}}{{len .}}{{end}}";
    assert_eq!(html(template, json!({"l": ["<", "b"]})), "<b>&lt;</b><b>b</b>2");
    let endless = Template::parse("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}").unwrap();
    assert_eq!(
        endless.html(&json!({})).unwrap_err().to_string(),
        "template: exceeded maximum template depth (64)"
    );
}

#[test]
fn links_are_escaped_for_where_they_stand() {
    let link = "https://x.test/verify?token=abc&type=signup&redirect_to=http://a.test/b c";
    let data = json!({"URL": link, "Hash": "a&b=c", "Evil": "javascript:alert(1)", "App": "myapp://home"});
    assert_eq!(
        html("<a href=\"{{ .URL }}\">{{ .URL }}</a>", data.clone()),
        "<a href=\"https://x.test/verify?token=abc&amp;type=signup&amp;redirect_to=http://a.test/b%20c\">\
         https://x.test/verify?token=abc&amp;type=signup&amp;redirect_to=http://a.test/b c</a>"
    );
    assert_eq!(
        html("<a href='https://s.test/c?token_hash={{.Hash}}&amp;next={{.URL}}'>", data.clone()),
        "<a href='https://s.test/c?token_hash=a%26b%3dc&amp;next=https%3a%2f%2fx.test%2fverify%3ftoken%3dabc%26type%3dsignup\
         %26redirect_to%3dhttp%3a%2f%2fa.test%2fb%20c'>"
    );
    assert_eq!(
        html("<a href=\"{{.Evil}}\"><a href={{.Evil}}>", data.clone()),
        "<a href=\"#ZgotmplZ\"><a href=#ZgotmplZ>"
    );
    assert_eq!(html("<a href=\"{{.App}}\">{{.App}}</a>", data), "<a href=\"#ZgotmplZ\">myapp://home</a>");
}

#[test]
fn attributes_styles_and_scripts_have_their_own_escapers() {
    let data = json!({"v": "a\"b<c", "w": "x y", "color": "red;x", "n": 7});
    assert_eq!(
        html("<p title=\"{{.v}}\" class={{.w}}>", data.clone()),
        "<p title=\"a&#34;b&lt;c\" class=x&#32;y>"
    );
    assert_eq!(html("<p style=\"color: {{.color}}\">", data.clone()), "<p style=\"color: ZgotmplZ\">");
    assert_eq!(html("<p style=\"color: {{\"#fff\"}}\">", data.clone()), "<p style=\"color: #fff\">");
    assert_eq!(
        html("<p style='background: url({{\"javascript:x\"}})'>", data.clone()),
        "<p style='background: url(#ZgotmplZ)'>"
    );
    assert_eq!(
        html("<script>var a = {{.v}}, n = {{.n}}; b = '{{.v}}'</script>{{.v}}", data.clone()),
        "<script>var a = \"a\\\"b\\u003cc\", n =  7 ; b = 'a\\u0022b\\u003cc'</script>a&#34;b&lt;c"
    );
    assert_eq!(html("<title>{{.v}}<b></title>", data), "<title>a&#34;b&lt;c&lt;b></title>");
}

#[test]
fn comments_of_html_are_left_out_and_stray_brackets_escaped() {
    assert_eq!(
        html("<!DOCTYPE html><!-- {{.x}} --> 1 < 2 <br>", json!({"x": "y"})),
        "<!DOCTYPE html> 1 &lt; 2 <br>"
    );
    assert_eq!(
        html("{{.x | html}} <i title=\"{{.x | html}}\">", json!({"x": "&"})),
        "&amp; <i title=\"&amp;\">"
    );
}

#[test]
fn what_is_no_template_is_refused_with_its_line() {
    assert_eq!(refused("a\n{{ .x"), "template: line 2: unclosed action");
    assert_eq!(refused("{{if .x}}"), "template: line 1: unexpected end of the template");
    assert_eq!(refused("\n\n{{end}}"), "template: line 3: unexpected {{end}}");
    assert_eq!(refused("{{ nonsense }}"), "template: line 1: function \"nonsense\" not defined");
    assert_eq!(refused("{{ .a | }}"), "template: line 1: missing value for command");
    assert_eq!(refused("{{ }}"), "template: line 1: missing value for command");
    assert_eq!(refused("{{ \"a }}"), "template: line 1: unterminated quoted string");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(refused(&deep), "template: line 1: nested too deeply");
}

#[test]
fn loops_over_data_end() {
    let nested = "{{range .l}}{{range $.l}}{{range $.l}}x{{end}}{{end}}{{end}}";
    let list: Vec<u32> = (0..1000).collect();
    let outcome = Template::parse(nested).unwrap().html(&json!({"l": list}));
    assert_eq!(outcome.unwrap_err().to_string(), "template: it takes too many steps");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(template in "(\\{\\{|\\}\\}|[-.$|()=:,\"`'<>/! a-z0-9]|if |range |with |end|else|<a href=|<!--|\\PC){0,40}", value in "\\PC*") {
        if let Ok(template) = Template::parse(&template) {
            let _ = template.html(&json!({"a": value}));
            let _ = template.text(&json!({"a": value}));
        }
    }

    #[test]
    fn text_without_actions_and_tags_stays(text in "[^{<]*") {
        let template = Template::parse(&text).unwrap();
        prop_assert_eq!(template.html(&Value::Null).unwrap(), text.clone());
        prop_assert_eq!(template.text(&Value::Null).unwrap(), text);
    }

    #[test]
    fn no_value_leaves_its_place(value in "\\PC*") {
        let data = json!({"v": value});
        let shown = html("<p>{{.v}}</p>", data.clone());
        prop_assert!(!shown[3..shown.len() - 4].contains(['<', '>', '"', '\'']));
        for (before, after) in [("<a href=\"", "\">"), ("<a title=\"", "\">"), ("<a href=\"/x?y=", "\">"), ("<a href='", "'>"), ("<p style=\"color:", "\">"), ("<a onclick=\"f(", ")\">"), ("<a class=", ">"), ("<a href=", ">")] {
            let shown = html(&format!("{before}{{{{.v}}}}{after}"), data.clone());
            let inside = shown.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
            prop_assert!(!inside.contains(['"', '\'', '<', '>']), "{}", shown);
            if before.ends_with('=') && !before.contains('?') {
                prop_assert!(!inside.contains([' ', '\t', '\n', '=', '`']), "{}", shown);
            }
        }
    }

    #[test]
    fn links_keep_their_meaning(path in "[a-z0-9/]{0,20}", query in "[a-zA-Z0-9=_.-]{0,30}") {
        let link = format!("https://x.test/{path}?{query}");
        let shown = html("<a href=\"{{.v}}\">", json!({"v": link}));
        prop_assert_eq!(shown, format!("<a href=\"{link}\">"));
    }
}
