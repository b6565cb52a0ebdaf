//! Bars that show what is, and what it will be.

/// What the signs of a bar mean.
pub const LEGEND: &str = "█ stays  ░ goes  ▒ comes  │ its part";

/// How long bars are.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Columns of the longest.
    pub width: usize,
    /// The amount that fills all of them.
    pub most: u64,
}

impl Scale {
    /// First what stays, then what goes or comes. What it should be is a mark on the bar or behind it;
    /// nothing at all has no mark.
    pub fn bar(&self, now: u64, then: u64, part: Option<u64>) -> String {
        let stays = self.columns(now.min(then));
        let (all, changes) = match now > then {
            true => (self.columns(now), '░'),
            false => (self.columns(then), '▒'),
        };
        let mark = part.map_or(0, |part| self.columns(part));
        let cell = |column: usize| match column {
            _ if column == mark => '│',
            _ if column <= stays => '█',
            _ if column <= all => changes,
            _ => ' ',
        };
        (1..=all.max(mark)).map(cell).collect()
    }

    /// Columns of an amount, rounded.
    fn columns(&self, amount: u64) -> usize {
        let most = u128::from(self.most.max(1));
        let columns = (u128::from(amount) * self.width as u128 + most / 2) / most;
        usize::try_from(columns).map_or(self.width, |columns| columns.min(self.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_what_stays_goes_and_comes() {
        let scale = Scale {
            width: 10,
            most: 100,
        };
        assert_eq!(scale.bar(100, 60, None), "██████░░░░");
        assert_eq!(scale.bar(30, 50, None), "███▒▒");
        assert_eq!(scale.bar(100, 60, Some(50)), "████│█░░░░");
        assert_eq!(scale.bar(0, 30, Some(50)), "▒▒▒ │");
        assert_eq!(scale.bar(30, 0, Some(0)), "░░░");
        assert_eq!(scale.bar(0, 0, None), "");
        assert_eq!(scale.bar(u64::MAX, u64::MAX, None), "██████████");
        let nothing = Scale { width: 10, most: 0 };
        assert_eq!(nothing.bar(0, 0, Some(0)), "");
    }
}
