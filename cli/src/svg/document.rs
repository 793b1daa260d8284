//! The elements of a document, written by hand: each method adds one.

use std::f64::consts::TAU;
use std::fmt::{self, Write as _};

use super::WIDTH;
use super::around::on_circle;
use super::figures::escape;

/// Body of the document as it grows. Text classes are single letters: `k` dark, `g` grey, `w` white,
/// `b` bold, `m` centred, `e` right-aligned, `n` figures of equal width, `h` haloed.
#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn put(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    pub(super) fn text(&mut self, x: f64, y: f64, size: f64, class: &str, text: &str) {
        self.titled_text((x, y), size, class, text, "");
    }

    pub(super) fn titled_text(
        &mut self,
        (x, y): (f64, f64),
        size: f64,
        class: &str,
        text: &str,
        title: &str,
    ) {
        if !text.is_empty() {
            let (text, title) = (escape(text), title_element(title));
            self.put(format_args!(
                r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" class="{class}">{title}{text}</text>"#
            ));
        }
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str, width: f64) {
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{stroke}" stroke-width="{width}"/>"#
        ));
    }

    pub(super) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        fill: &str,
        radius: f64,
        title: &str,
    ) {
        let (w, title) = (w.max(0.0), title_element(title));
        self.put(format_args!(
            r#"<rect x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}" rx="{radius}" fill="{fill}">{title}</rect>"#
        ));
    }

    /// A piece of a ring between two turns, `gap` pixels short on each side.
    ///
    /// SVG draws nothing for an arc that ends where it starts, so a whole turn is two circles of two half
    /// arcs each, and the even-odd rule cuts the hole.
    pub(super) fn arc(
        &mut self,
        outer: f64,
        inner: f64,
        (from, to): (f64, f64),
        fill: &str,
        gap: f64,
        title: &str,
    ) {
        let to = to.min(from + TAU);
        if to <= from {
            return;
        }
        let mut d = String::new();
        if to - from > TAU - 1e-6 {
            for r in [outer, inner] {
                let ((x1, y1), (x2, y2)) = (on_circle(r, from), on_circle(r, from + TAU / 2.0));
                let _ = write!(
                    d,
                    "M{x1:.2} {y1:.2}A{r:.2} {r:.2} 0 0 1 {x2:.2} {y2:.2}A{r:.2} {r:.2} 0 0 1 {x1:.2} {y1:.2}Z"
                );
            }
        } else {
            // A run of a single slot may be thinner than the gap; it gives up a part, never all.
            let trim = |r: f64| (gap / r).min((to - from) * 0.15);
            let large = u8::from(to - from > TAU / 2.0);
            let (a, b) = (
                on_circle(outer, from + trim(outer)),
                on_circle(outer, to - trim(outer)),
            );
            let (c, e) = (
                on_circle(inner, to - trim(inner)),
                on_circle(inner, from + trim(inner)),
            );
            let _ = write!(
                d,
                "M{:.2} {:.2}A{outer:.2} {outer:.2} 0 {large} 1 {:.2} {:.2}L{:.2} {:.2}A{inner:.2} {inner:.2} 0 {large} 0 {:.2} {:.2}Z",
                a.0, a.1, b.0, b.1, c.0, c.1, e.0, e.1
            );
        }
        // Without gaps the antialiased edges of neighbours would let the ground shine through.
        let seam = if gap == 0.0 && !title.is_empty() {
            format!(r#" stroke="{fill}" stroke-width="0.4""#)
        } else {
            String::new()
        };
        let title = title_element(title);
        self.put(format_args!(
            r#"<path d="{d}" fill="{fill}" fill-rule="evenodd"{seam}>{title}</path>"#
        ));
    }

    pub(super) fn finish(self, height: f64, title: &str) -> String {
        let (body, title) = (self.body, escape(title));
        format!(
            r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0}" viewBox="0 0 {WIDTH} {height:.0}" role="img">
<title>{title}</title>
<style>
text {{ font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", "Noto Sans CJK KR", sans-serif; }}
.k {{ fill: #1c1c1a; }} .g {{ fill: #6a6a64; }} .w {{ fill: #ffffff; }} .b {{ font-weight: 600; }}
.m {{ text-anchor: middle; }} .e {{ text-anchor: end; }} .n {{ font-variant-numeric: tabular-nums; }}
.h {{ paint-order: stroke; stroke: #ffffff; stroke-width: 3.5px; stroke-linejoin: round; }}
</style>
<defs><pattern id="down" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3.5" height="7" fill="#ffffff" fill-opacity="0.6"/></pattern></defs>
<rect width="100%" height="100%" fill="#fcfcfa"/>
{body}</svg>
"##
        )
    }
}

pub(super) fn title_element(title: &str) -> String {
    if title.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", escape(title))
    }
}
