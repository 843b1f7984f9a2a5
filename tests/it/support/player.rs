//! A script like that of YouTube's player: as long, about as dense, and with the two riddles in its
//! middle that yt-dlp's solver looks for. All of it is made up here.

use fastrand::Rng;

/// YouTube's has this length.
const LENGTH: usize = 2_700_000;

/// What the solver looks for: a function that makes a URL and marks it `alr=yes`, and methods of that,
/// one of which turns the `n` of the URL into what the media servers want. In what turns a signature
/// there is nothing to be looked for.
const RIDDLES: &str = r#"
var Link=function(a){this.fields={};this.base=a};
Link.prototype.get=function(a){return this.fields[a]};
Link.prototype.set=function(a,b){this.fields[a]=b};
Link.prototype.clone=function(){return this};
Link.prototype.build=function(){var a=this.fields.n;if(a!=null)this.fields.n="S"+a.split("").reverse().join("")};
var make=function(a,b,c){a=new Link(a);a.set("alr","yes");c&&a.set(b,encodeURIComponent(turn(decodeURIComponent(c))));return a};
function turn(a){a=a.split("");a.splice(0,3);a.reverse();var b=a[0];a[0]=a[7%a.length];a[7]=b;return a.join("")}
"#;

/// The script. Its functions do nothing, and are never called.
pub(crate) fn script() -> String {
    let mut rng = Rng::with_seed(7);
    let mut script = String::from(
        "var _yt_player={};(function(g){var window=this;var config={signatureTimestamp:20420};\
         var Base=function(){};\n",
    );
    let mut riddles = Some(RIDDLES);
    let mut number = 0;
    while script.len() < LENGTH {
        if script.len() > LENGTH / 2 {
            script += riddles.take().unwrap_or_default();
        }
        number += 1;
        let body: String = (0..rng.usize(1..6)).map(|_| statement(&mut rng, 3)).collect();
        let value = expression(&mut rng, 2);
        script += &match rng.u8(0..10) {
            0..4 => format!("g.f{number}=function(a,b,c,d){{{body}return {value}}};\n"),
            4..7 => format!("function F{number}(a,b,c){{{body}}}\n"),
            7..9 => format!("Base.prototype.m{number}=function(a,b){{{body}}};\n"),
            _ => {
                format!("var C{number}=class{{constructor(a){{this.a=a}}m(a,b,c,d){{{body}}}}};\n")
            }
        };
    }
    script + "})(_yt_player);\n"
}

/// What it makes of an `n`.
pub(crate) fn solved(n: &str) -> String {
    format!("S{}", n.chars().rev().collect::<String>())
}

/// What it makes of a signature.
pub(crate) fn turned(signature: &str) -> String {
    let mut letters: Vec<char> = signature.chars().skip(3).collect();
    letters.reverse();
    letters.swap(0, 7);
    letters.into_iter().collect()
}

fn statement(rng: &mut Rng, depth: u8) -> String {
    let inner = |rng: &mut Rng| match depth {
        0 => "return a;".to_owned(),
        _ => statement(rng, depth - 1),
    };
    match rng.u8(0..10) {
        0..3 => format!("var e={};", expression(rng, depth)),
        3..5 => format!("if({}){{{}}}", expression(rng, depth.saturating_sub(1)), inner(rng)),
        5..7 => format!("a={};", expression(rng, depth)),
        7 => format!("for(var f=0;f<a.length;f++){{{}}}", inner(rng)),
        _ => format!("g.f{}({});", rng.u16(0..9000), expression(rng, depth.saturating_sub(1))),
    }
}

fn expression(rng: &mut Rng, depth: u8) -> String {
    const LEAVES: [&str; 14] = [
        "a",
        "b",
        "c",
        "d",
        "!0",
        "null",
        "17",
        "\"\"",
        "\"some words\"",
        "\"more words than some\"",
        "this.playerState",
        "this.config",
        "this.element",
        "g.innerTube",
    ];
    let kind = rng.u8(0..20);
    if depth == 0 || kind < 5 {
        return LEAVES[rng.usize(0..LEAVES.len())].to_owned();
    }
    let (one, two) = (expression(rng, depth - 1), expression(rng, depth - 1));
    match kind {
        5..9 => format!("g.f{}({one},{two})", rng.u16(0..9000)),
        9..12 => format!("({one}+{two})"),
        12..14 => format!("({one}?{two}:{})", expression(rng, depth - 1)),
        14 => format!("{{key:{one},value:{two}}}"),
        15 => format!("[{one},{two}]"),
        16..18 => format!("(function(e){{return {one}}})"),
        _ => format!("this.member{}.handle{}({one})", rng.u16(0..9999), rng.u16(0..999)),
    }
}
