//! Logs. Owns: their format and filter, and that nothing from outside reaches a terminal raw. Secrets
//! never reach a log line: they live in types whose `Debug` is redacted, bodies and headers are not
//! logged at all.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat};
use crate::visible::{escaped, escaped_json};

/// The driver tells of every notice of the server and of each connection that ends. What matters of it
/// reaches us as an error, and is told once. A directive of the operator for the same target counts.
const LIBRARIES: &str = "sqlx=error,sqlx_core=error,sqlx_postgres=error";

/// Starts logging to standard error. Called once, by the binary; a second call does nothing.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(format!("{LIBRARIES},{}", config.level));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::NONE);
    let started = match config.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_writer(|| Lines(io::stderr(), json_line))
            .try_init(),
        LogFormat::Pretty => builder
            .with_target(false)
            .with_ansi(false)
            .compact()
            .with_writer(|| Lines(io::stderr(), line))
            .try_init(),
    };
    started.ok();
}

/// Writes each line as its function shows it. A line is written with one call.
struct Lines<W>(W, fn(&str) -> String);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(self.1(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn json_line(text: &str) -> String {
    escaped_json(text).into_owned()
}

/// One line for people: only its own end stays. Colours are not used, for those of ours could not be
/// told from those in a value.
fn line(text: &str) -> String {
    let (text, end) = text.strip_suffix('\n').map_or((text, ""), |text| (text, "\n"));
    format!("{}{end}", escaped(text, |_| 0))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_in_a_log_line_is_not_written_raw() {
        let name = "a\u{1b}[2J\u{1b}[31mb\r\n\u{202e}c\u{9b}2J";
        let kept = Kept::default();
        let log = |json: bool| {
            let kept = kept.clone();
            let builder = tracing_subscriber::fmt();
            let show = || tracing::info!(name, shown = %name, "told of {name}");
            if json {
                let writer = move || Lines(kept.clone(), json_line);
                let made = builder.json().with_writer(writer).finish();
                tracing::subscriber::with_default(made, show);
            } else {
                let writer = move || Lines(kept.clone(), line);
                let made = builder.compact().with_ansi(false).with_writer(writer).finish();
                tracing::subscriber::with_default(made, show);
            }
        };
        log(true);
        log(false);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text:?}");
        for raw in ["\u{1b}", "\u{202e}", "\u{9b}", "\r"] {
            assert!(!text.contains(raw), "{raw:?} in {text:?}");
        }
    }
}
