//! Shapes made to cost most for their length. By default they are only taken apart and joined; with `MIME_WORST` set, in
//! a release build, their time for a megabyte is printed and must stay below a second.

use storage_core::clock::Clock;
use storage_core::clock::SystemClock;
use storage_core::mime::SplitLimits;
use storage_fixtures::mime::worst::SHAPES;

use crate::round::exact;
use crate::round::tight;

#[test]
fn the_worst_shapes_come_back() {
    for (name, shape) in SHAPES {
        for bytes in [100, 3_000, 70_000, 150_000] {
            let message = shape(bytes);
            assert!(message.len() >= bytes, "{name}");
            exact(&message, &SplitLimits::default());
            exact(&message, &tight());
        }
    }
}

#[test]
fn a_megabyte_of_the_worst_shape_takes_less_than_a_second() {
    if std::env::var_os("MIME_WORST").is_none() {
        return;
    }
    let clock = SystemClock;
    let time = |message: &[u8]| {
        let begun = clock.monotonic();
        exact(message, &SplitLimits::default());
        clock.monotonic().saturating_sub(begun).as_secs_f64() * 1_000.0
    };
    let mut worst = 0.0_f64;
    for (name, shape) in SHAPES {
        let (quarter, whole, four) = (time(&shape(1 << 18)), time(&shape(1 << 20)), time(&shape(1 << 22)));
        eprintln!("{name:50} {quarter:8.1} ms for 256 KiB {whole:8.1} ms for 1 MiB {four:8.1} ms for 4 MiB");
        worst = worst.max(whole).max(four / 4.0);
    }
    assert!(worst < 1_000.0, "{worst} ms for a megabyte");
}
