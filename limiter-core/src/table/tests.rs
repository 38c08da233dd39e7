use super::*;
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Plain(u64);

const VACANT: Plain = Plain(0);

impl Row for Plain {
    fn id(&self) -> u64 {
        self.0
    }
    fn vacate(&mut self) {
        *self = VACANT;
    }
}

type Small = Table<[Plain; 8]>;

fn empty() -> Small {
    Table::new([VACANT; 8])
}

/// An id whose home is the given eighth of the table.
fn id(home: u64, serial: u64) -> u64 {
    (home << 61) | serial
}

fn holds(table: &Small, id: u64) -> bool {
    table.position(id).is_some()
}

#[test]
fn spreads_homes_evenly_over_any_number_of_rows() {
    for rows in [1, 7, 32, 1000, 65_536, 65_537, 1_000_000] {
        assert_eq!(home(0, rows), 0);
        assert_eq!(home(u64::MAX, rows), rows - 1);
        assert_eq!(home(1 << 63, rows), rows / 2);
    }
    assert_eq!(home(u64::MAX, 0), 0);
}

#[test]
fn finds_rows_around_the_end_of_the_table() {
    let mut table = empty();
    for serial in 1..=4 {
        table.insert(Plain(id(7, serial)));
    }
    assert_eq!(table.longest_probe(), 4);
    for serial in 1..=4 {
        let found = table.find_mut::<Plain>(id(7, serial)).map(|row| row.0);
        assert_eq!(found, Some(id(7, serial)));
    }
    assert!(table.find_mut::<Plain>(id(7, 5)).is_none());
    assert!(!holds(&table, id(6, 1)));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn finds_a_row_near_its_home_and_leaves_the_others() {
    let mut table = empty();
    for serial in 1..=5 {
        table.insert(Plain(id(1, serial)));
    }
    let mut near = |id: u64| table.find_near_mut::<Plain>(id).map(|row| row.0);
    for serial in 1..=4 {
        assert_eq!(near(id(1, serial)), Some(id(1, serial)));
    }
    assert_eq!(near(id(1, 5)), None, "the fifth from home");
    assert_eq!(near(id(1, 6)), None, "not here");
    assert_eq!(near(id(7, 1)), None, "too near to the end");
}

#[test]
fn ends_a_miss_at_the_longest_distance_in_a_full_table() {
    let mut table = empty();
    for home in 0..8 {
        table.insert(Plain(id(home, 1)));
    }
    assert!(table.is_full());
    assert_eq!(table.longest_probe(), 1);
    table.insert(Plain(id(0, 2)));
    assert!(!holds(&table, id(0, 2)), "a full table stays as it is");
}

#[test]
fn shortens_the_probe_again_when_the_farthest_row_goes() {
    let mut table = empty();
    for serial in 1..=5 {
        table.insert(Plain(id(2, serial)));
    }
    assert_eq!(table.longest_probe(), 5);
    let first = table.position(id(2, 1)).expect("present");
    table.remove(first);
    assert_eq!((table.longest_probe(), table.occupied()), (4, 4));
}

#[test]
fn a_newcomer_to_a_full_table_keeps_the_order_of_homes_and_the_longest_distance() {
    let mut random = 1_u64;
    let mut below = |end: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    let mut table = empty();
    for serial in 1..=8 {
        table.insert(Plain(id(below(8), serial)));
    }
    for serial in 9..5_000 {
        let row = Plain(id(below(8), serial));
        let place = usize::try_from(below(8)).unwrap();
        let gone = table.rows[place].0;
        table.replace(place, row);
        assert!(!holds(&table, gone) && holds(&table, row.0));
        assert!(table.rows.iter().all(|row| holds(&table, row.0)));
        let distances = table.rows.iter().enumerate();
        let distances: Vec<u32> = distances
            .map(|(index, row)| distance_from_home(row.0, index, 8))
            .collect();
        let ordered = |index: usize| distances[(index + 1) % 8] <= distances[index] + 1;
        assert!((0..8).all(ordered), "{distances:?}");
        let longest = distances.iter().max().unwrap();
        assert_eq!(table.longest_probe(), longest + 1);
    }
}

#[test]
fn the_reach_of_a_large_table_shortens_without_looking_at_all_rows_at_once() {
    let mut table = Table::new([VACANT; 1_000]);
    for serial in 1..=100 {
        table.insert(Plain(id(2, serial)));
    }
    assert_eq!(table.longest_probe(), 100);
    for serial in 1..=50 {
        table.remove(table.position(id(2, serial)).expect("present"));
    }
    assert!(table.longest_probe() <= 100 - 16, "measured three times");
    assert!((51..=100).all(|serial| table.position(id(2, serial)).is_some()));
}

#[test]
fn works_without_rows() {
    let mut table = Table::new([VACANT; 0]);
    table.insert(Plain(5));
    table.remove::<Plain>(0);
    assert!(table.is_full() && table.find_mut::<Plain>(5).is_none());
    assert_eq!(table.position::<Plain>(5), None);
}

proptest! {
    #[test]
    fn holds_what_a_set_holds_under_any_insertions_and_removals(
        operations in prop::collection::vec((0_u64..8, 1_u64..4, any::<bool>()), 0..200),
    ) {
        let mut table = empty();
        let mut set: Vec<u64> = Vec::new();
        for (home, serial, add) in operations {
            let changed = id(home, serial);
            let known = set.iter().position(|&x| x == changed);
            match (add, known) {
                (true, None) if set.len() < 8 => {
                    table.insert(Plain(changed));
                    set.push(changed);
                }
                (false, Some(place)) => {
                    table.remove(table.position(changed).unwrap());
                    set.swap_remove(place);
                }
                _ => {}
            }
            prop_assert_eq!(table.occupied() as usize, set.len());
            let longest = table.rows().iter().enumerate()
                .filter(|(_, row)| row.0 != 0)
                .map(|(index, row)| distance_from_home(row.0, index, 8))
                .max()
                .unwrap_or(0);
            prop_assert_eq!(table.longest_probe(), longest + 1);
            for home in 0..8 {
                for serial in 1..4 {
                    let wanted = id(home, serial);
                    prop_assert_eq!(holds(&table, wanted), set.contains(&wanted));
                    prop_assert_eq!(
                        table.find_mut::<Plain>(wanted).is_some(),
                        set.contains(&wanted)
                    );
                }
            }
        }
    }
}
