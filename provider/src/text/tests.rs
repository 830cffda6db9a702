use super::*;
use crate::engine::Delta;
use crate::tokenizer::fixture;
use proptest::prelude::*;

fn tools(parallel: bool) -> Options {
    let calls = Calls { names: vec!["f".into(), "g".into()], parallel, salt: "s".into() };
    Options { calls: Some(calls), reasoning: true, ..Options::default() }
}

fn chat() -> Options {
    Options { reasoning: true, ..Options::default() }
}

fn stop(stops: &[&str]) -> Options {
    Options { stop: stops.iter().map(|s| (*s).to_owned()).collect(), ..chat() }
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    content: String,
    reasoning: String,
    /// Name and arguments.
    calls: Vec<(String, String)>,
    stopped: bool,
    ids: Vec<u32>,
}

fn run(options: Options, ids: &[u32]) -> (Read, Vec<Delta>, Rest) {
    let mut text = Text::new(fixture::tokenizer(), options);
    let (mut deltas, mut read) = (Vec::new(), Read::default());
    for id in ids {
        if text.push(Pick { id: *id, logprob: None }, &mut deltas) == Verdict::Stop {
            read.stopped = true;
            break;
        }
    }
    let rest = text.finish(&mut deltas);
    for delta in &deltas {
        read.content.push_str(delta.content.as_deref().unwrap_or_default());
        read.reasoning.push_str(delta.reasoning.as_deref().unwrap_or_default());
        if let Some(call) = &delta.tool_call {
            let function = call.function.clone().unwrap();
            read.calls.push((function.name.unwrap(), function.arguments.unwrap()));
        }
        read.ids.extend(&delta.ids);
    }
    (read, deltas, rest)
}

/// One token a byte, the hardest cut there is.
fn bytes(text: &str) -> Vec<u32> {
    let letters = fixture::byte_letters();
    assert_eq!(letters.len(), 256);
    text.bytes().map(u32::from).collect()
}

fn read(options: Options, text: &str) -> Read {
    let ids = bytes(text);
    let (mut read, deltas, rest) = run(options, &ids);
    // Every id that was taken leaves once, in order.
    read.ids.extend(&rest.ids);
    assert_eq!(read.ids, ids[..read.ids.len()], "{text}");
    assert!(read.stopped || read.ids.len() == ids.len());
    assert_eq!(rest.tool_calls, !read.calls.is_empty());
    for delta in deltas {
        let empty = delta.content.as_deref().or(delta.reasoning.as_deref()) == Some("");
        assert!(
            !empty
                && (delta.content.is_some()
                    || delta.reasoning.is_some()
                    || delta.tool_call.is_some())
        );
    }
    read.ids.clear();
    read
}

fn content(text: &str) -> Read {
    Read { content: text.into(), ..Read::default() }
}

#[test]
fn plain_text_comes_token_by_token_with_its_ids() {
    let (read, deltas, rest) = run(chat(), &[259, 262, u32::from(b'!')]);
    assert_eq!(read.content, "hello wor!");
    assert_eq!(deltas.iter().map(|d| d.ids.clone()).collect::<Vec<_>>(), [[259], [262], [33]]);
    assert_eq!(rest, Rest { ids: vec![], tool_calls: false, stopped: false, reasoning_tokens: 0 });
}

#[test]
fn ids_of_a_split_character_come_with_the_character() {
    let (read, deltas, _) = run(chat(), &bytes("aé"));
    assert_eq!(read.content, "aé");
    assert_eq!(deltas[1].ids, [0xC3, 0xA9]);
    let (read, _, rest) = run(chat(), &bytes("aé")[..2]);
    assert_eq!((read.content.as_str(), rest.ids), ("a", vec![0xC3]));
}

#[test]
fn special_tokens_are_not_shown_and_their_ids_are() {
    let (read, deltas, rest) = run(chat(), &[259, 1001, 262, 1001]);
    assert_eq!(read.content, "hello wor");
    assert_eq!(deltas[1].ids, [1001, 262]);
    assert_eq!(rest.ids, [1001]);
}

#[test]
fn stop_strings_cut_and_their_starts_are_given_back() {
    let stopped = |text: &str| Read { stopped: true, ..content(text) };
    assert_eq!(read(stop(&["STOP"]), "one STOP two"), stopped("one "));
    assert_eq!(read(stop(&["STOP"]), "one STO two ST"), content("one STO two ST"));
    assert_eq!(read(stop(&["b", "abc"]), "xabc"), stopped("xa"));
    assert_eq!(read(stop(&["éa"]), "ééa!"), stopped("é"));
    assert_eq!(read(stop(&["aab"]), "aaab"), stopped("a"));
    assert_eq!(read(stop(&["x"]), "x"), stopped(""));
    assert_eq!(read(stop(&["\n"]), "\n\nx"), stopped(""));
}

#[test]
fn a_stop_string_in_what_an_end_gives_back_stops_the_answer() {
    let mut with_tools = tools(true);
    with_tools.stop = vec!["[T".into()];
    for (options, text, shown) in [
        (stop(&["\n"]), "\n", ""),
        (stop(&["\n\n"]), " \n\n ", " "),
        (stop(&["<t"]), "<thin", ""),
        (with_tools, " [TOOL", " "),
    ] {
        let (read, _, rest) = run(options, &bytes(text));
        assert_eq!((read.content.as_str(), rest.stopped), (shown, true), "{text:?}");
    }
    let (read, _, rest) = run(stop(&["\n"]), &bytes(" "));
    assert_eq!((read.content.as_str(), rest.stopped), (" ", false));
}

#[test]
fn what_may_be_a_mark_is_not_lost_behind_reasoning_or_calls() {
    for start in ["[", "<", "<|py", "{ \"na"] {
        let got = read(tools(true), &format!("<think>a</think>\n{start}"));
        assert_eq!(got, Read { reasoning: "a".into(), ..content(start) });
        let call = "<tool_call>{\"name\": \"f\"}</tool_call>";
        assert_eq!(read(tools(true), &format!("{call}\n{start}")).content, start);
    }
}

#[test]
fn ids_of_a_stop_string_end_the_answer() {
    let (_, deltas, rest) = run(stop(&["lo"]), &[u32::from(b'a'), 259, 262]);
    assert_eq!(deltas[1].content.as_deref(), Some("hel"));
    assert_eq!(deltas[1].ids, [259]);
    assert!(rest.ids.is_empty());
    let (_, deltas, rest) = run(stop(&["lo"]), &bytes("lo"));
    assert_eq!((deltas, rest.ids), (vec![], bytes("lo")));
}

#[test]
fn reasoning_is_split_off() {
    let both = |reasoning: &str, content: &str| Read {
        reasoning: reasoning.into(),
        ..self::content(content)
    };
    assert_eq!(read(chat(), "<think>\nwhy <b>\n</think>\n\nso"), both("why <b>", "so"));
    assert_eq!(read(chat(), "\n<think></think>so"), both("", "so"));
    assert_eq!(read(chat(), "<think>cut "), both("cut", ""));
    assert_eq!(read(chat(), "<thin"), content("<thin"));
    assert_eq!(read(chat(), " a <think>b"), content(" a <think>b"));
    assert_eq!(read(stop(&["no"]), "<think>no</think>yes"), both("no", "yes"));
    let thinking = Options { thinking: true, ..chat() };
    assert_eq!(read(thinking, "\nhm</think>yes"), both("hm", "yes"));
    assert_eq!(read(Options::default(), "<think>x</think>"), content("<think>x</think>"));
    let (_, _, rest) = run(chat(), &[1002, 259, 262, 1003, 259]);
    assert_eq!(rest.reasoning_tokens, 3);
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

#[test]
fn hermes_calls() {
    let f = r#"<tool_call>
{"name": "f", "arguments": {"a": 1.0,  "b": "};{"}}
</tool_call>"#;
    let g = r#"<tool_call>{"name":"g","arguments":"{\"x\":2}"}</tool_call>"#;
    let calls = vec![call("f", r#"{"a": 1.0,  "b": "};{"}"#), call("g", r#"{"x":2}"#)];
    let got = read(tools(true), &format!("\n{f}\n{g}\n"));
    assert_eq!(got, Read { calls: calls.clone(), ..Read::default() });
    let got = read(tools(true), &format!("Let me see. {f}"));
    assert_eq!(got, Read { calls: calls[..1].to_vec(), ..content("Let me see. ") });
    let got = read(tools(false), &format!("{f}{g}"));
    assert_eq!(got, Read { calls: calls[..1].to_vec(), stopped: true, ..Read::default() });
    // The end mark may be missing, and a tool without arguments has none.
    let got = read(tools(true), "<tool_call>{\"name\": \"h\"}");
    assert_eq!(got.calls, [call("h", "{}")]);
}

#[test]
fn what_is_no_call_is_content() {
    for text in [
        "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": </tool_call> then",
        "<tool_call>{\"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": 3}</tool_call>",
        "<tool_call>{\"name\": \"f\"",
        "[TOOL_CALLS]nothing",
        "<|python_tag|>print(1)",
        "{\"name\": \"unknown\", \"parameters\": {}}",
        "{\"name\": 3}",
        "{\"city\": \"Rome\"}",
        "{ \"na",
        "<tool_",
        "a < b",
    ] {
        assert_eq!(read(tools(true), text), content(text), "{text}");
    }
    let text = "<tool_call>{\"name\": \"f\"}</tool_call>";
    assert_eq!(read(chat(), text), content(text));
    let mut options = tools(true);
    options.stop = vec!["END".into()];
    let got = read(options, "<tool_call>x END</tool_call>y");
    assert_eq!(got, Read { stopped: true, ..content("<tool_call>x ") });
}

#[test]
fn llama_and_mistral_calls() {
    let object = r#"{"name": "f", "parameters": {"a": 1}}"#;
    for text in [
        object.to_owned(),
        format!("<|python_tag|>{object}"),
        r#"{"type": "function", "name": "f", "parameters": {"a": 1}}"#.to_owned(),
        format!("[TOOL_CALLS][{object}]"),
        "[TOOL_CALLS]f[ARGS]{\"a\": 1}".to_owned(),
        "[TOOL_CALLS] f[CALL_ID]9[ARGS] {\"a\": 1}".to_owned(),
    ] {
        assert_eq!(read(tools(true), &text).calls, [call("f", r#"{"a": 1}"#)], "{text}");
    }
    let two = read(tools(true), "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]g[ARGS]{}").calls;
    assert_eq!(two, [call("f", "{}"), call("g", "{}")]);
    let two = read(tools(true), &format!("{object}; {object}")).calls;
    assert_eq!(two.len(), 2);
}

#[test]
fn calls_are_numbered_and_have_ids_of_their_own() {
    let ids =
        bytes("<tool_call>{\"name\":\"f\"}</tool_call><tool_call>{\"name\":\"f\"}</tool_call>");
    let (_, deltas, _) = run(tools(true), &ids);
    let calls: Vec<_> = deltas.into_iter().filter_map(|delta| delta.tool_call).collect();
    assert_eq!(calls.iter().map(|call| call.index).collect::<Vec<_>>(), [0, 1]);
    let id = |at: usize| calls[at].id.clone().unwrap();
    assert!(id(0).starts_with("call_") && id(0).len() == 29 && id(0) != id(1));
}

#[test]
fn logprobs_name_their_tokens() {
    let mut text = Text::new(fixture::tokenizer(), chat());
    let mut deltas = Vec::new();
    let logprob = crate::sampler::Logprob { value: -0.5, top: vec![(259, -0.5), (0xC3, -2.0)] };
    text.push(Pick { id: 259, logprob: Some(logprob) }, &mut deltas);
    let logprob = &deltas[0].logprobs[0];
    assert_eq!((logprob.token.as_str(), logprob.logprob), ("hello", -0.5));
    assert_eq!(logprob.top_logprobs[1].token, "\u{FFFD}");
    assert_eq!(logprob.top_logprobs[1].bytes, Some(vec![0xC3]));
}

proptest! {
    #[test]
    fn without_marks_nothing_is_lost_or_added(text in "[a-z<>/\\[{ \né]{0,60}") {
        for options in [chat(), tools(true), stop(&["<zz>", "é\n\n\n"]), Options::default()] {
            let got = read(options, &text);
            if !got.stopped {
                prop_assert_eq!(got, content(&text));
            }
        }
    }

    #[test]
    fn a_stop_string_never_shows(text in "[ab]{0,40}", stop_string in "[ab]{1,4}") {
        let got = read(stop(&[&stop_string]), &text);
        let want = text.split(stop_string.as_str()).next().unwrap();
        prop_assert_eq!(got.content, want);
        prop_assert_eq!(got.stopped, text.contains(&stop_string));
    }
}
