//! Plots as SVG: cost against the number of tokens, latency while tokens arrive, memory. They are
//! drawn for a light page, and change their colours on a dark one.

use super::markdown::{figure, is_ours};
use super::{Row, Summary};
use crate::steps::Walk;
use crate::subjects::TOKEN;
use crate::subjects::governors::BASE;
use crate::works::many::{SIZES, read};
use crate::works::{arrivals, memory};
use plotters::prelude::*;
use std::error::Error;

/// File names and pictures.
///
/// # Errors
///
/// What the drawing library says.
pub fn all(summary: &Summary) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    Ok(vec![
        ("tokens.svg", tokens(summary)?),
        ("arrivals.svg", latency(summary)?),
        ("memory.svg", bytes(summary)?),
    ])
}

/// A line of points, and what it is called.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

fn tokens(summary: &Summary) -> Result<String, Box<dyn Error>> {
    let works: Vec<(f64, String)> = SIZES
        .iter()
        .map(|&tokens| (f64::from(tokens), read(tokens, Walk::Uniform)))
        .collect();
    let lines = lines(summary, &works, TOKEN);
    let frame = Frame {
        title: "A decision from a 40-byte token: time against number of tokens",
        across: "tokens, each as often as any other",
        up: "time",
        x: 800.0..1_300_000.0,
    };
    frame.draw(&lines, |x| figure(*x))
}

fn latency(summary: &Summary) -> Result<String, Box<dyn Error>> {
    let works: Vec<(f64, String)> = arrivals::PERCENTILES
        .iter()
        .map(|&(name, beyond)| {
            let beyond = if beyond == 0 { 1_000_000 } else { beyond };
            let x = f64::from(u32::try_from(beyond).unwrap_or(u32::MAX));
            (x, arrivals::work(name))
        })
        .collect();
    let lines = lines(summary, &works, TOKEN);
    let frame = Frame {
        title: "A million tokens arrive: how long does one of them wait?",
        across: "one request of so many takes longer; at the right the longest",
        up: "time",
        x: 1.5..1_500_000.0,
    };
    frame.draw(&lines, |x| format!("1 of {}", figure(*x)))
}

/// A line for each subject that is shown and has all works, ours first.
fn lines(summary: &Summary, works: &[(f64, String)], form: &str) -> Vec<Line> {
    let Some((_, first)) = works.first() else {
        return Vec::new();
    };
    let mut rows: Vec<&Row> = summary
        .rows
        .iter()
        .filter(|row| row.work == *first && row.form == form)
        .filter(|row| SHOWN.iter().any(|name| is_called(&row.subject, name)))
        .collect();
    rows.sort_by_key(|row| !is_ours(&row.subject));
    let of = |row: &&Row| {
        let point = |(x, work): &(f64, String)| {
            let row = summary.row(work, &row.subject, form)?;
            Some((*x, row.median))
        };
        Some(Line {
            name: row.subject.clone(),
            points: works.iter().map(point).collect::<Option<_>>()?,
        })
    };
    rows.iter().filter_map(of).collect()
}

/// The frame of a plot whose axes are both logarithmic.
struct Frame {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    x: std::ops::Range<f64>,
}

impl Frame {
    fn draw(
        &self,
        lines: &[Line],
        label: impl Fn(&f64) -> String,
    ) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        let values = || lines.iter().flat_map(|line| &line.points).map(|&(_, y)| y);
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(least, f64::max);
        {
            let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
            root.fill(&PAPER)?;
            let (plot, legend) = root.split_horizontally(PLOT_WIDTH);
            let mut chart = ChartBuilder::on(&plot)
                .caption(self.title, font(16))
                .margin(12)
                .x_label_area_size(44)
                .y_label_area_size(70)
                .build_cartesian_2d(
                    self.x.clone().log_scale(),
                    (least / 1.5..most * 1.5).log_scale(),
                )?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(PAPER)
                .bold_line_style(GRID)
                .axis_style(INK)
                .label_style(font(12))
                .axis_desc_style(font(13))
                .x_desc(self.across)
                .y_desc(self.up)
                .x_label_formatter(&label)
                .y_label_formatter(&|y| time(*y))
                .draw()?;
            for (line, style) in lines.iter().zip(styles(lines)) {
                chart.draw_series(LineSeries::new(line.points.clone(), style))?;
                chart.draw_series(
                    line.points
                        .iter()
                        .map(|&point| Circle::new(point, 3, style.color.filled())),
                )?;
            }
            name(&legend, lines)?;
            root.present()?;
        }
        Ok(for_dark_pages_too(&text))
    }
}

/// The legend: a line of its own for each name, thick for ours.
fn name<D: DrawingBackend>(
    area: &DrawingArea<D, plotters::coord::Shift>,
    lines: &[Line],
) -> Result<(), Box<dyn Error>>
where
    D::ErrorType: 'static,
{
    let mut y = 52;
    for (line, style) in lines.iter().zip(styles(lines)) {
        area.draw(&PathElement::new(vec![(4, y), (28, y)], style))?;
        area.draw(&Text::new(line.name.clone(), (36, y - 6), font(12)))?;
        y += 22;
    }
    Ok(())
}

fn bytes(summary: &Summary) -> Result<String, Box<dyn Error>> {
    let largest = SIZES
        .iter()
        .rev()
        .map(|&tokens| memory::work(memory::RESIDENT, tokens))
        .find(|work| summary.works().contains(&work.as_str()));
    let work = largest.unwrap_or_default();
    let mut rows: Vec<&Row> = summary.rows.iter().filter(|row| row.work == work).collect();
    rows.sort_by(|a, b| a.median.total_cmp(&b.median));
    let most = rows.last().map_or(1.0, |row| row.median);
    let mut text = String::new();
    {
        let height = 70 + 26 * u32::try_from(rows.len()).unwrap_or(0);
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&PAPER)?;
        let title = work.replace("memory, resident", "Memory: resident");
        root.draw(&Text::new(title, (12, 14), font(16)))?;
        let mut y = 50;
        for row in rows {
            let colour = if is_ours(&row.subject) {
                OURS[0]
            } else {
                OTHERS[0]
            };
            let share = row.median / most;
            let length = pixels(share * 420.0);
            root.draw(&Text::new(row.subject.clone(), (12, y), font(12)))?;
            root.draw(&Rectangle::new(
                [(BAR, y - 2), (BAR + length.max(2), y + 16)],
                colour.filled(),
            ))?;
            let value = figure(row.median);
            root.draw(&Text::new(value, (BAR + length + 8, y), font(12)))?;
            y += 26;
        }
        root.present()?;
    }
    Ok(for_dark_pages_too(&text))
}

/// How each line is drawn: ours thick, and no colour twice.
fn styles(lines: &[Line]) -> Vec<ShapeStyle> {
    let (mut ours, mut others) = (OURS.iter().cycle(), OTHERS.iter().cycle());
    let of = |line: &Line| {
        let (colour, width) = if is_ours(&line.name) {
            (ours.next(), 3)
        } else {
            (others.next(), 1)
        };
        colour.unwrap_or(&INK).stroke_width(width)
    };
    lines.iter().map(of).collect()
}

/// Whether a subject has this name, with what it does while tokens arrive or without.
fn is_called(subject: &str, name: &str) -> bool {
    subject
        .strip_suffix(", register and check")
        .unwrap_or(subject)
        == name
}

/// A time with its unit.
fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e6 => format!("{} ms", figure(ns / 1e6)),
        ns if ns >= 1e3 => format!("{} µs", figure(ns / 1e3)),
        ns => format!("{} ns", figure(ns)),
    }
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a length on a page of 960 pixels"
)]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

/// Swaps paper and ink, by a rule that a browser applies when its page is dark.
fn for_dark_pages_too(svg: &str) -> String {
    let swaps = [
        ("#FFFFFF", "#0D1117"),
        ("#24292F", "#E6EDF3"),
        ("#D0D7DE", "#30363D"),
    ];
    let rules: String = swaps
        .iter()
        .map(|(light, dark)| {
            format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
        })
        .collect();
    let style = format!("<style>@media (prefers-color-scheme:dark){{{rules}}}</style>");
    match svg.split_once('>') {
        Some((head, rest)) => format!("{head}>\n{style}{rest}"),
        None => svg.to_owned(),
    }
}

/// Whose lines are shown: all of them would hide each other.
const SHOWN: [&str; 10] = [
    "Limiter",
    "Concurrent",
    "Concurrent, check_many",
    BASE,
    "governor dashmap, foldhash",
    "gcra",
    "rate-net",
    "throttlecrab PeriodicStore",
    "pingora-limits, real clock",
    "by hand: DashMap",
];
const WIDTH: u32 = 1_060;
const HEIGHT: u32 = 480;
const PLOT_WIDTH: u32 = 720;
const BAR: i32 = 470;
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GRID: RGBColor = RGBColor(0xd0, 0xd7, 0xde);
/// Colours that stand out from white and from black.
const OURS: [RGBColor; 3] = [
    RGBColor(0x1f, 0x88, 0x3d),
    RGBColor(0x0f, 0x9b, 0xae),
    RGBColor(0x7a, 0xb8, 0x00),
];
const OTHERS: [RGBColor; 7] = [
    RGBColor(0x65, 0x78, 0x8c),
    RGBColor(0xbf, 0x87, 0x00),
    RGBColor(0xcf, 0x22, 0x2e),
    RGBColor(0x82, 0x50, 0xdf),
    RGBColor(0x09, 0x69, 0xda),
    RGBColor(0xbc, 0x4c, 0x00),
    RGBColor(0xbf, 0x39, 0x89),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Subject;
    use crate::report::machine::Machine;

    fn summary() -> Summary {
        let mut rows = Vec::new();
        for name in [BASE, "Limiter"] {
            let subject = Subject::alone(name, TOKEN, "", |_| {});
            for tokens in SIZES {
                let work = read(tokens, Walk::Uniform);
                rows.push(Row::of_value(&work, &subject, "ns", 30.0));
                let work = memory::work(memory::RESIDENT, tokens);
                rows.push(Row::of_value(&work, &subject, "B", 40.0));
            }
            for (percentile, _) in arrivals::PERCENTILES {
                rows.push(Row::of_value(
                    &arrivals::work(percentile),
                    &subject,
                    "ns",
                    99.0,
                ));
            }
        }
        Summary {
            machine: Machine::look(),
            quick: true,
            rows,
            aims: Vec::new(),
        }
    }

    #[test]
    fn every_plot_names_its_subjects_and_knows_dark_pages() {
        for (file, svg) in all(&summary()).unwrap() {
            assert!(
                svg.contains("governor") && svg.contains("Limiter"),
                "{file}"
            );
            assert!(svg.contains("prefers-color-scheme:dark"), "{file}");
            // Whatever is drawn in ink or on paper is covered by the rule for dark pages.
            assert!(
                !svg.contains("#000000") && !svg.contains("\"black\""),
                "{file}: {svg}"
            );
        }
    }
}
