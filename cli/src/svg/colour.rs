//! Colours that colour-blind readers can tell apart (Okabe and Ito 2008), and shades for more nodes.

use super::Picture;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rgb(u8, u8, u8);

/// What belongs to nobody.
pub(super) const UNOWNED: Rgb = Rgb(0xe4, 0xe4, 0xe0);

/// Okabe and Ito, "Color Universal Design" (2008), with their black softened to a grey that still shows
/// its hatching, and ordered so that small clusters get the pairs that differ most.
pub(super) const PALETTE: [Rgb; 8] = [
    Rgb(0x00, 0x72, 0xb2),
    Rgb(0xe6, 0x9f, 0x00),
    Rgb(0x00, 0x9e, 0x73),
    Rgb(0xcc, 0x79, 0xa7),
    Rgb(0x56, 0xb4, 0xe9),
    Rgb(0xd5, 0x5e, 0x00),
    Rgb(0xf0, 0xe4, 0x42),
    Rgb(0x5a, 0x5a, 0x5a),
];

/// How far each colour is darkened for its shade: unevenly, to keep the shades apart from one another.
pub(super) const SHADES: [f64; 8] = [0.5, 0.42, 0.5, 0.5, 0.42, 0.6, 0.45, 0.62];

/// Colour of a node: the palette, then its shades, then its tints, then around again.
pub(super) fn colour(node: usize) -> Rgb {
    let base = PALETTE[node % PALETTE.len()];
    match (node / PALETTE.len()) % 3 {
        0 => base,
        1 => base.mix(Rgb(0, 0, 0), SHADES[node % SHADES.len()]),
        _ => base.mix(Rgb(255, 255, 255), 0.45),
    }
}

/// Fill of a node's run, paler for copies, and whether the node is up.
pub(super) fn owner_fill(picture: &Picture, owner: usize, copy: usize) -> (Rgb, bool) {
    let Some(node) = picture.nodes.get(owner) else {
        return (UNOWNED, true);
    };
    let full = colour(owner);
    (
        if copy == 0 {
            full
        } else {
            full.mix(Rgb(255, 255, 255), 0.42)
        },
        node.up,
    )
}

impl Rgb {
    pub(super) fn mix(self, other: Rgb, part: f64) -> Rgb {
        let one = |a: u8, b: u8| (f64::from(a) * (1.0 - part) + f64::from(b) * part).round() as u8;
        Rgb(one(self.0, other.0), one(self.1, other.1), one(self.2, other.2))
    }

    pub(super) fn fill(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Text classes with the ink that reads on this colour, by the luma weights of Rec. 709; a halo sets
    /// the text off from the hatching of a node that is down.
    pub(super) fn ink(self, up: bool) -> &'static str {
        let luma = 0.2126 * f64::from(self.0) + 0.7152 * f64::from(self.1) + 0.0722 * f64::from(self.2);
        match (up, luma > 125.0) {
            (false, _) => "k m b h",
            (true, true) => "k m b",
            (true, false) => "w m b",
        }
    }
}
