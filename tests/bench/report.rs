//! The report in Markdown: one table a film, a row a system, medians and ratios.
//!
//! It must never decide whether a figure is good.

use crate::ROUND_TRIP;
use crate::compare::{Entry, Standing};
use crate::concurrent::{ABREAST, STROLL, Tally};
use crate::figures::{Spread, short};
use crate::overhead;
use crate::reader::Body;
use crate::relays::NGINX_DEFAULTS;
use crate::section::Section;

/// All that a run came to.
pub(crate) struct Report<'a> {
    pub(crate) machine: &'a str,
    pub(crate) sections: &'a [Section],
    /// The system that the others are compared with.
    pub(crate) yardstick: &'a str,
}

impl Report<'_> {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "<!-- made by `make bench` -->\n\
             {}; the origin is on loopback. Medians; in brackets the least and the most; \
             × is the ratio to {}.\n",
            self.machine, self.yardstick
        );
        for section in self.sections {
            text += &format!("\n## From an origin that speaks {}\n", section.scheme);
            text.extend(section.films.iter().map(|standing| self.table(standing)));
            text.extend(section.far.iter().map(far));
            if !section.tallies.is_empty() {
                text += &abreast(&section.tallies);
            }
        }
        text + "\n## Notes\n" + &notes(self.yardstick)
    }

    fn table(&self, standing: &Standing) -> String {
        let runs = standing.entries.first().map_or([0, 0], |e| [e.starts.len(), e.hauls.len()]);
        let mut text = format!(
            "\n### {}, {} MB\n\n\
             Starts: {}; whole downloads: {}.\n\n\
             | | first byte, ms | after the upstream's own | first media byte, ms \
             | wall, s | × | CPU-s per GB | × | peak RSS, MB |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            standing.title,
            standing.joined / 1_000_000,
            runs[0],
            runs[1],
        );
        let yardstick = standing.entries.iter().find(|entry| entry.system == self.yardstick);
        let ratio = |own: Spread, of: fn(&Entry) -> Spread| {
            short(own.median / yardstick.map_or(f64::NAN, |entry| of(entry).median))
        };
        for entry in &standing.entries {
            let [first, after, media] = beginning(entry, standing);
            let (wall, cpu) = (entry.wall(), entry.cpu());
            text += &format!(
                "| {} | {first} | {after} | {media} | {} | {} | {} | {} | {} |\n",
                name(entry),
                wall.with_ends(),
                ratio(wall, Entry::wall),
                cpu.with_ends(),
                ratio(cpu, Entry::cpu),
                entry.peak().alone(),
            );
        }
        text + &format!(
            "| *upstream* | {} | | | | | | | |\n\n{}\n",
            first(&standing.direct).with_ends(),
            overhead::beside(standing).replace('\n', "\\\n"),
        )
    }
}

fn far(far: &Standing) -> String {
    let mut text = format!(
        "\n### {}, from an upstream with a round trip of {} ms\n\n\
         | | first byte, ms | after the upstream's own | first media byte, ms |\n\
         |---|--:|--:|--:|\n",
        far.title,
        ROUND_TRIP.as_millis(),
    );
    for entry in &far.entries {
        text += &format!("| {} | {} |\n", name(entry), beginning(entry, far).join(" | "));
    }
    text + &format!("| *upstream* | {} | | |\n", first(&far.direct).with_ends())
}

fn abreast(tallies: &[Tally]) -> String {
    let mut text = format!(
        "\n### Downloads of 60 MB, {ABREAST} at a time, each read at {} MB/s\n\n\
         | | ended well, bytes missing | failed, and the client saw it |\n|---|--:|--:|\n",
        STROLL / 1_000_000
    );
    for Tally { system, count, cut, failed } in tallies {
        text += &format!("| {system} | {cut} of {count} | {failed} of {count} |\n");
    }
    text
}

fn notes(yardstick: &str) -> String {
    format!(
        "\n\
         * First byte: from the connection, or from the start of the process for {yardstick}, to the first \
         byte of the body. The first media byte is the first one inside an `mdat`. The upstream's \
         own is what a GET of the picture takes, asked directly by the same client.\n\
         * CPU: user and system of the server process with all of its children, without the origin and \
         the client. RSS: the most at any one time, summed over the same processes, so that shared \
         pages count once for each.\n\
         * \"In each round\": the median of the ratios within the rounds; whatever else the machine did \
         in a round weighed on both.\n\
         * HTTPS is TLS 1.3 from nginx, and all but nginx verify its certificate. ytcanal, nginx and \
         the copy loop resume sessions. HTTP is from a server of the benchmark's own.\n\
         * From an origin that speaks HTTP and gives an ETag, which proves what comes after a break, splice \
         moves bytes that it never sees. Without one, as over HTTPS, it copies them.\n\
         * {yardstick} reads the two URLs and writes to a pipe: it serves nobody.\n\
         * nginx and the copy loop join nothing. They pass on one file of exactly as many bytes. nginx: one \
         worker, its own defaults ({NGINX_DEFAULTS}), and TLS 1.3. The copy loop: one thread, reads and writes \
         of 64 KiB, TLS by rustls.\n\
         * ytcanal keeps connections to the origin from one download to the next, where the last one was \
         read to its end; starts are not, so each makes its own. nginx and the copy loop always do.\n\
         * The original is the design this project comes from, made again: Flask, two FIFOs, ffmpeg.\n"
    )
}

/// The system, and what made the file if that is not what was asked for.
fn name(entry: &Entry) -> String {
    match entry.other_engine() {
        Some(engine) => format!("{} (made by {engine})", entry.system),
        None => entry.system.to_owned(),
    }
}

/// First byte, the same after the upstream's own, first media byte.
fn beginning(entry: &Entry, standing: &Standing) -> [String; 3] {
    let own = first(&entry.starts);
    let media = Spread::of(entry.starts.iter().map(|body| body.first_media() * 1e3));
    let after = own.median - first(&standing.direct).median;
    [own.with_ends(), short(after), media.alone()]
}

/// In milliseconds.
pub(crate) fn first(starts: &[Body]) -> Spread {
    Spread::of(starts.iter().map(|body| body.first_byte() * 1e3))
}
