//! The document says what the parsers say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::DOCUMENT;
use crate::access::Need;
use crate::archive::ArchiveFormat;
use crate::audio::encoding::{Encoder, Mode};
use crate::media::page_media::{AudioCodec, VideoCodec};
use crate::media::track_label::MAX_AUDIO_TRACKS;
use crate::media::variant::Variant;
use crate::options::{ContainerChoice, Engine, LengthPolicy, TextFormat};
use crate::problem_code::ProblemCode;
use crate::route::{self, has_form, route};
use crate::{form, track_kind::TrackKind};

/// For each path, a query that its parser reads to the end.
const TARGETS: [&str; 16] = [
    "/",
    "/watch?v=abc",
    "/download?url=a.example",
    "/info?url=a.example",
    "/thumbnail?url=a.example",
    "/mux?video=http://a/&audio=http://b/",
    "/sign?target=/mux?video=http://a/",
    "/login",
    "/logout",
    "/openapi.json",
    "/manifest.webmanifest",
    "/icon.svg",
    "/player.js",
    "/healthz",
    "/readyz",
    "/metrics",
];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap()
}

/// Follows a reference.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect(reference),
        None => value,
    }
}

/// The parameters of a path that are in its query, by their names.
fn parameters<'a>(document: &'a Value, path: &str) -> BTreeMap<&'a str, &'a Value> {
    let listed = document["paths"][path]["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let parameters = listed.iter().map(|listed| resolved(document, listed));
    let queried = parameters.filter(|parameter| parameter["in"] == "query");
    queried.map(|parameter| (parameter["name"].as_str().unwrap(), parameter)).collect()
}

fn texts(values: &Value) -> BTreeSet<&str> {
    let values = values.as_array().unwrap_or_else(|| panic!("no list: {values}"));
    values.iter().filter_map(Value::as_str).collect()
}

/// Returns whether the parser takes a target with one more parameter.
fn takes(target: &str, name: &str, value: &str) -> bool {
    let separator = if target.contains('?') { '&' } else { '?' };
    let parsed = route(&format!("{target}{separator}{name}={}", form::encode_value(value)));
    if let Err(problem) = &parsed {
        assert_eq!(problem.code, ProblemCode::BadParameter, "{target} {name}={value}: {problem:?}");
    }
    parsed.is_ok()
}

#[test]
fn it_has_every_path_with_its_methods() {
    let document = document();
    let described: BTreeSet<_> = document["paths"].as_object().unwrap().keys().collect();
    let known: BTreeSet<_> = route::paths().map(str::to_owned).collect();
    assert_eq!(described, known.iter().collect());
    assert_eq!(TARGETS.map(path_of).len(), known.len());
    for target in TARGETS {
        let path = path_of(target);
        let operations = document["paths"][path].as_object().unwrap();
        let methods: Vec<_> = operations.keys().filter(|key| *key != "parameters").collect();
        let known = if has_form(path) { &["get", "head", "post"][..] } else { &["get", "head"] };
        assert_eq!(methods, known, "{path}");
    }
}

#[test]
fn a_path_needs_what_its_route_needs() {
    let document = document();
    for target in TARGETS {
        let need = route(target).unwrap().need();
        for (method, operation) in document["paths"][path_of(target)].as_object().unwrap() {
            let Some(security) = operation.get("security").and_then(Value::as_array) else {
                continue;
            };
            let schemes: BTreeSet<_> =
                security.iter().flat_map(|scheme| scheme.as_object().unwrap().keys()).collect();
            assert_eq!(schemes.is_empty(), need == Need::Nothing, "{method} {target}");
            let is_signable = takes("/sign", "target", target);
            assert_eq!(schemes.iter().any(|name| *name == "signedLink"), is_signable, "{target}");
        }
    }
}

/// The parsers themselves tell which parameters they ask for.
#[test]
fn it_has_every_parameter() {
    let document = document();
    for target in TARGETS {
        let path = path_of(target);
        let described: BTreeSet<_> = parameters(&document, path).into_keys().collect();
        let mut known = route::parameters_of(target);
        if path == "/sign" {
            // Its parser has what is signed parsed, too.
            let signed = target.split_once('=').unwrap().1;
            known = &known - &route::parameters_of(signed);
        }
        assert_eq!(described, known.iter().map(String::as_str).collect(), "{path}");
    }
}

#[test]
fn it_has_every_value_of_a_parameter() {
    let document = document();
    let containers = ContainerChoice::ALL.map(ContainerChoice::as_str);
    let of_video = ContainerChoice::ALL.into_iter().filter(|container| !container.is_audio());
    let codecs = VideoCodec::NAMED.into_iter().filter_map(VideoCodec::as_str);
    let lists: [(&str, &str, BTreeSet<&str>); 9] = [
        (
            "/download",
            "container",
            containers.into_iter().chain(TextFormat::ALL.map(|(_, name)| name)).collect(),
        ),
        ("/mux", "container", of_video.map(ContainerChoice::as_str).collect()),
        ("/download", "codec", codecs.chain(["auto"]).collect()),
        ("/download", "variant", Variant::names().collect()),
        ("/download", "engine", Engine::ALL.map(|(_, name)| name).into()),
        ("/mux", "engine", Engine::ALL.map(|(_, name)| name).into()),
        ("/download", "length", LengthPolicy::ALL.map(|(_, name)| name).into()),
        ("/mux", "length", LengthPolicy::ALL.map(|(_, name)| name).into()),
        ("/download", "as", ArchiveFormat::ALL.map(ArchiveFormat::extension).into()),
    ];
    for (path, name, known) in lists {
        assert_eq!(texts(&parameters(&document, path)[name]["schema"]["enum"]), known, "{path}");
    }
}

/// Also those of lists that no type has, `cover` for instance.
#[test]
fn the_parser_takes_the_values_defaults_and_examples() {
    let document = document();
    for target in TARGETS {
        for (name, parameter) in parameters(&document, path_of(target)) {
            let schema = &parameter["schema"];
            let target = match name {
                "url" | "target" | "v" => path_of(target),
                "video" => "/mux",
                // What they need beside them.
                "captions" => "/download?url=a.example&subs=en",
                "bitrate" => "/download?url=a.example&container=mp3",
                "items" => "/download?url=a.example&as=tar",
                "lang" if target.starts_with("/mux") => {
                    "/mux?audio=http://a/&audio=http://b/&audio=http://c/"
                }
                _ => target,
            };
            let listed = schema.get("enum").or(schema.pointer("/anyOf/0/enum"));
            for value in listed.map(texts).into_iter().flatten() {
                assert!(takes(target, name, value), "{target} {name}={value}");
            }
            if listed.is_some() {
                assert!(!takes(target, name, "other"), "{target} {name}=other");
            }
            let example = parameter.get("example").map(|example| match example {
                Value::Array(values) => values[0].clone(),
                value => value.clone(),
            });
            for value in example.iter().chain(schema.get("default")) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert!(takes(target, name, &value), "{target} {name}={value}");
            }
            if let Some(default) = schema.get("default") {
                let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
                let separator = if target.contains('?') { '&' } else { '?' };
                let explicit = route(&format!("{target}{separator}{name}={default}"));
                assert_eq!(explicit, route(target), "{name}={default}");
            }
        }
    }
}

#[test]
fn numbers_have_the_bounds_of_the_parser() {
    let document = document();
    let one = "/download?url=a.example";
    for (path, name, pointer, target) in [
        ("/info", "page", "/schema", "/info?url=a.example"),
        ("/download", "quality", "/schema/anyOf/1", one),
        ("/download", "bitrate", "/schema", "/download?url=a.example&container=opus"),
    ] {
        let schema = parameters(&document, path)[name].pointer(pointer).unwrap().clone();
        let [least, most] = ["minimum", "maximum"].map(|bound| schema[bound].as_u64().unwrap());
        for (value, is_taken) in
            [(least - 1, false), (least, true), (most, true), (most + 1, false)]
        {
            assert_eq!(takes(target, name, &value.to_string()), is_taken, "{name}={value}");
        }
    }
    let of = |path, name: &str| parameters(&document, path)[name]["schema"].clone();
    assert_eq!(of("/mux", "audio")["maxItems"], MAX_AUDIO_TRACKS);
    // All others may be there, too.
    let others = parameters(&document, "/download").len() as u64 - 1;
    let links = of("/download", "url")["maxItems"].as_u64().unwrap();
    assert!(links + others <= form::MAX_PARAMETERS as u64, "{links} links, {others} others");
    let longest = of("/info", "url")["maxLength"].as_u64().unwrap();
    let link = |len: u64| {
        let host = "https://a.example/";
        format!("/info?url={host}{}", "x".repeat(usize::try_from(len).unwrap() - host.len()))
    };
    assert!(route(&link(longest)).is_ok() && route(&link(longest + 1)).is_err());
}

#[test]
fn it_has_every_problem_code_with_its_status() {
    let document = document();
    let known: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    let schemas = &document["components"]["schemas"];
    assert_eq!(texts(&schemas["Problem"]["properties"]["code"]["enum"]), known);
    let tracks = [TrackKind::Video, TrackKind::Audio].map(TrackKind::as_str);
    assert_eq!(texts(&schemas["Problem"]["properties"]["track"]["enum"]), tracks.into());
    // The state of a server without ffmpeg, as load balancers ask for it, has a status of its own.
    let ready = (503, ProblemCode::MuxerMissing.as_str());
    let known = ProblemCode::ALL.iter().map(|code| (u64::from(code.status()), code.as_str()));
    let known: BTreeSet<_> = known.chain([ready]).collect();
    let mut described = BTreeSet::new();
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let Some(status) = name.strip_prefix("Problem") else { continue };
        let schema = &response["content"]["application/problem+json"]["schema"];
        let properties = &schema["allOf"][1]["properties"];
        assert_eq!(properties["status"]["const"].to_string(), status);
        let status = status.parse().unwrap();
        described.extend(texts(&properties["code"]["enum"]).into_iter().map(|code| (status, code)));
    }
    assert_eq!(described, known);
}

#[test]
fn responses_have_the_values_of_the_program() {
    let document = document();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let schemas = &document["components"]["schemas"];
    let of = |schema: &str, property: &str| texts(&schemas[schema]["properties"][property]["enum"]);
    assert_eq!(texts(&schemas["Variant"]["enum"]), Variant::names().collect());
    let codecs: BTreeSet<_> =
        AudioCodec::NAMED.into_iter().filter_map(AudioCodec::as_str).collect();
    assert_eq!(of("AudioOption", "codec"), codecs);
    assert_eq!(of("VideoOption", "audio_codec"), codecs);
    let videos: BTreeSet<_> =
        VideoCodec::NAMED.into_iter().filter_map(VideoCodec::as_str).collect();
    assert_eq!(of("VideoOption", "video_codec"), videos);
    let encoders = ContainerChoice::ALL.into_iter().filter_map(Encoder::of);
    let encoded: BTreeSet<_> = encoders.clone().map(Encoder::codec).collect();
    assert_eq!(of("AudioContainer", "codec"), &codecs | &encoded);
    assert_eq!(
        of("AudioContainer", "mode"),
        encoders.map(Encoder::mode).map(Mode::as_str).collect()
    );
    let audio: BTreeSet<_> = ContainerChoice::ALL
        .into_iter()
        .filter_map(|container| container.is_audio().then_some(container.as_str()))
        .collect();
    assert_eq!(of("AudioContainer", "container"), audio);
}

/// Every component is of use, and every reference leads to one.
#[test]
fn references_lead_to_components() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let (document, mut references) = (document(), BTreeSet::new());
    collect(&document, &mut references);
    let mut components = BTreeSet::new();
    for (kind, named) in document["components"].as_object().unwrap() {
        let is_referred = kind != "securitySchemes";
        let names = named.as_object().unwrap().keys().filter(|_| is_referred);
        components.extend(names.map(|name| format!("#/components/{kind}/{name}")));
    }
    // No operation has them: its method is none of those listed, or the client has left.
    components.remove("#/components/responses/Problem405");
    assert_eq!(references, components);
}
