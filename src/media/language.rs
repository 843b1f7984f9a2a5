//! Languages of tracks: tags (BCP 47), and the codes of three letters that the headers of files have. Pure.

use std::fmt;

/// A language tag (BCP 47) such as `de` or `pt-BR`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language(String);

/// A code of three letters.
pub type Code = [u8; 3];

/// The code of a language that is not known (ISO 639-2).
const UNDETERMINED: Code = *b"und";

impl Language {
    /// Returns the language with this tag, if it looks like one.
    pub fn from_tag(tag: &str) -> Option<Language> {
        let is_tag = (2..=35).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_tag.then(|| Language(tag.to_owned()))
    }

    /// Returns the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the tag says more than the language: a region, a script.
    pub fn has_subtags(&self) -> bool {
        self.0.contains('-')
    }

    /// Returns the code of ISO 639-2/T, which MP4 has (ISO/IEC 14496-12 §8.4.2); `und` if there is none.
    pub fn terminologic(&self) -> Code {
        let primary = primary_subtag(&self.0);
        match primary.as_bytes() {
            [_, _] => pairs(TWO_LETTERS).find(|(short, _)| *short == primary).map(|(_, code)| code),
            // A code for bibliographies is no tag, but sites have such ones.
            [_, _, _] => {
                let other = pairs(BIBLIOGRAPHIC).find(|(_, code)| *code == primary);
                other.map(|(code, _)| code).or(Some(&primary))
            }
            _ => None,
        }
        .and_then(code)
        .unwrap_or(UNDETERMINED)
    }

    /// Returns the code of ISO 639-2/B, which Matroska has (RFC 9559 §5.1.4.1.19); `und` if there is none.
    pub fn bibliographic(&self) -> Code {
        let terminologic = self.terminologic();
        let other = pairs(BIBLIOGRAPHIC).find(|(code, _)| code.as_bytes() == terminologic);
        other.and_then(|(_, other)| code(other)).unwrap_or(terminologic)
    }

    /// Returns whether another tag is the same one, in any spelling.
    pub fn is_same(one: &str, other: &str) -> bool {
        one.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the first subtag in lower case: the language without region and script.
pub fn primary_subtag(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

fn code(text: &str) -> Option<Code> {
    let code: Code = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_lowercase).then_some(code)
}

fn pairs(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut words = table.split_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
}

/// The codes of ISO 639-1, each with that of ISO 639-2/T; the last ones were replaced by others.
const TWO_LETTERS: &str = "
    aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel
    bg bul bh bih bi bis bm bam bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces
    cu chu cv chv cy cym da dan de deu dv div dz dzo ee ewe el ell en eng eo epo es spa et est eu eus
    fa fas ff ful fi fin fj fij fo fao fr fra fy fry ga gle gd gla gl glg gn grn gu guj gv glv ha hau
    he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her ia ina id ind ie ile ig ibo ii iii ik ipk
    io ido is isl it ita iu iku ja jpn jv jav ka kat kg kon ki kik kj kua kk kaz kl kal km khm kn kan
    ko kor kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim ln lin lo lao lt lit
    lu lub lv lav mg mlg mh mah mi mri mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau nb nob
    nd nde ne nep ng ndo nl nld nn nno no nor nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss
    pa pan pi pli pl pol ps pus pt por qu que rm roh rn run ro ron ru rus rw kin sa san sc srd sd snd
    se sme sg sag si sin sk slk sl slv sm smo sn sna so som sq sqi sr srp ss ssw st sot su sun sv swe
    sw swa ta tam te tel tg tgk th tha ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso tt tat tw twi
    ty tah ug uig uk ukr ur urd uz uzb ve ven vi vie vo vol wa wln wo wol xh xho yi yid yo yor za zha
    zh zho zu zul in ind iw heb ji yid jw jav mo ron";

/// The codes of ISO 639-2/T that are others in ISO 639-2/B.
const BIBLIOGRAPHIC: &str = "
    bod tib ces cze cym wel deu ger ell gre eus baq fas per fra fre hye arm isl ice kat geo mkd mac
    mri mao msa may mya bur nld dut ron rum slk slo sqi alb zho chi";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_have_codes_of_three_letters() {
        for (tag, terminologic, bibliographic) in [
            ("de", b"deu", b"ger"),
            ("DE-at", b"deu", b"ger"),
            ("ger", b"deu", b"ger"),
            ("pt-BR", b"por", b"por"),
            ("zh-Hant", b"zho", b"chi"),
            ("yue", b"yue", b"yue"),
            ("iw", b"heb", b"heb"),
            ("xx", b"und", b"und"),
            ("en-desc", b"eng", b"eng"),
            ("1234", b"und", b"und"),
            ("a1b", b"und", b"und"),
        ] {
            let language = Language::from_tag(tag).unwrap();
            assert_eq!(&language.terminologic(), terminologic, "{tag}");
            assert_eq!(&language.bibliographic(), bibliographic, "{tag}");
        }
        for no_tag in ["", "d", "de_AT", "de AT", "ü", &"a".repeat(36)] {
            assert_eq!(Language::from_tag(no_tag), None, "{no_tag}");
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        let codes: Vec<_> = pairs(TWO_LETTERS).collect();
        assert!(codes.iter().all(|(short, long)| short.len() == 2 && code(long).is_some()));
        let known: Vec<_> = codes.iter().map(|(short, _)| short).collect();
        assert!((1..known.len()).all(|index| !known[..index].contains(&known[index])));
        for (one, other) in pairs(BIBLIOGRAPHIC) {
            assert!(codes.iter().any(|(_, long)| *long == one), "{one}");
            assert!(code(other).is_some() && !codes.iter().any(|(_, long)| *long == other));
        }
    }

    proptest! {
        #[test]
        fn codes_are_letters(tag in "[a-zA-Z0-9-]{2,35}") {
            let language = Language::from_tag(&tag).unwrap();
            prop_assert!(code(std::str::from_utf8(&language.terminologic()).unwrap()).is_some());
            prop_assert!(code(std::str::from_utf8(&language.bibliographic()).unwrap()).is_some());
        }
    }
}
