//! A device whose power fails again and again, each time started on the flash that it left.
//!
//! A life ends in one of three ways: in an operation of the flash that was picked beforehand, with some bits flipped;
//! with the emulator killed at any point; or between two requests. Then time passes, and the RTC may have lost it.
//! What the device says is held to [`Account`] over all lives.

mod account;

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    process,
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};
use images_flash::nor::Nor;

use self::account::Account;
use crate::{
    machine::Machine,
    qemu::{Emulator, Options, Outcome},
};

/// Lets the device live so many lives, then says in the image's place that all went well.
pub(super) fn run(machine: &Machine, elf: &Path) -> Result<Outcome> {
    let lives = number("POWER_LOSS_LIVES")?.unwrap_or(LIVES);
    let flash = Flash::blank(machine)?;
    let mut random = Random::new(number("POWER_LOSS_SEED")?.unwrap_or(0));
    let mut account = Account::new(START_UTC);
    let mut ways = [0_u32; 3];
    for number in 0..lives {
        let life = Life::pick(&mut random, &account);
        let outcome = life
            .live(machine, elf, &flash)
            .with_context(|| format!("in life {number}, {life:?}"))?;
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
        account
            .take(&said)
            .with_context(|| format!("in life {number}, {life:?}, which said\n{said}"))?;
        ways[match outcome.code {
            CUT_CODE => 0,
            KILLED => 1,
            0 => 2,
            code => bail!(
                "life {number}, {life:?}, ended with {code}: {said}{}",
                outcome.stderr
            ),
        }] += 1;
        account.pass(life.off_ms);
    }
    let [cut, killed, switched_off] = ways;
    println!(
        "        {lives} lives: {cut} ended in the flash, {killed} anywhere, {switched_off} between requests; {account}"
    );
    ensure!(
        account.met_everything(),
        "too few lives to meet a spent day, a new day and a cut: {account}"
    );
    Ok(Outcome {
        stdout: b"every start came up, no day was exceeded, no cut cost more than the reserve\n"
            .to_vec(),
        stderr: String::new(),
        code: 0,
    })
}

/// The number that the environment holds under this name, if it does.
fn number<N: FromStr>(name: &str) -> Result<Option<N>> {
    let Some(text) = env::var_os(name) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    let wrong = || format!("{name}: `{}` is no number, or too large", text.display());
    number.with_context(wrong).map(Some)
}

/// How the device is switched on, and how it loses power.
#[derive(Debug)]
struct Life {
    seed: u32,
    /// The operation of the flash in which the power fails; 0 for none.
    cut: u32,
    /// Bytes that the device says before the emulator is killed.
    kill_after: Option<usize>,
    utc: i64,
    requests: u32,
    /// How long the power is off afterwards.
    off_ms: u64,
}

impl Life {
    fn pick(random: &mut Random, account: &Account) -> Self {
        let way = random.below(8);
        // Most cuts in a later write, many in the first one after the start and in what repairs the flash.
        let cut = match way {
            0..=2 => 1 + random.below(600),
            3..=4 => 1 + random.below(80),
            _ => 0,
        };
        let rtc_is_reset = random.below(6) == 0;
        Self {
            seed: random.below(u32::MAX),
            cut,
            kill_after: (way == 5 || way == 6).then(|| random.below(1_500) as usize),
            utc: if rtc_is_reset {
                RESET_UTC
            } else {
                account.utc_s()
            },
            requests: if cut > 0 { 400 } else { 20 + random.below(150) },
            off_ms: match random.below(8) {
                0 => u64::from(random.below(18 * 3_600_000)),
                _ => u64::from(random.below(600_000)),
            },
        }
    }

    fn live(&self, machine: &Machine, elf: &Path, flash: &Flash) -> Result<Outcome> {
        let arguments = [
            flash.path.display().to_string(),
            self.seed.to_string(),
            self.cut.to_string(),
            self.utc.to_string(),
            self.requests.to_string(),
        ];
        let options = Options {
            arguments: &arguments,
            ..Options::default()
        };
        let emulator = Emulator::start(machine, elf, &options)?;
        match self.kill_after {
            Some(bytes) => emulator.kill_after(bytes),
            None => emulator.finish(),
        }
    }
}

/// The file that outlives the device; removed when dropped.
struct Flash {
    path: PathBuf,
}

impl Flash {
    fn blank(machine: &Machine) -> Result<Self> {
        let path = env::temp_dir().join(format!("flash-{}-{}.bin", process::id(), machine.name));
        let bytes: Vec<u8> = iter::repeat_n(0xff, <Nor<()>>::MEDIUM_BYTES as usize).collect();
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        Ok(Self { path })
    }
}

impl Drop for Flash {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u32) -> Self {
        // Never 0, which would stay so.
        Self(0x9e37_79b9_7f4a_7c15 ^ (u64::from(seed) << 32))
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper half is the better one.
        (self.0 >> 32) as u32 % end
    }
}

/// Enough to meet all that there is; some hundreds by hand.
const LIVES: u32 = 40;
/// What the image ends with when the power fails within the flash.
const CUT_CODE: i32 = 9;
/// What [`Emulator::kill_after`] says of an image that it killed.
const KILLED: i32 = -1;
/// An evening in 2026.
const START_UTC: i64 = 1_795_550_000;
/// What an RTC says that has lost its battery: 2000-01-01, before the policy's floor.
const RESET_UTC: i64 = 946_684_800;
