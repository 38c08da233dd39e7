//@ drive: power_loss
//! A limiter on flash whose power fails at any moment, in the middle of a write too.
//!
//! The host switches it on again and again with the flash that the last life left, and holds what it says to what must
//! not be: a permit handed out twice, more lost in a cut than the reserve, a start that fails. What it says: one line
//! for the start, then `d` for a new accounting day, `w` for an image stored, `+` for a permit handed out.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::{self, Write as _};
use core::num::NonZeroU32;
use core::time::Duration;

use board::{Arguments, Console, HostFile};
use images_flash::life::{self, Life};
use images_flash::nor::{Medium, MediumFailed, Nor, NorError};
use images_flash::random::Random;
use images_flash::store::{Store, StoreError};
use limiter_core::snapshot::{self, Image};
use limiter_core::{
    Decision, HashKey, Instant, Kind, Method, Now, OffTime, OnLostState, Plan, Policy,
    Registration, Request, Reserve, Reserved, TokenId, UnixTime, Verdict, WriteDue,
};

const KEY: HashKey = HashKey::new(*b"provisioned once");
const USERS: [&[u8]; 3] = [b"ann", b"bob", b"cyd"];
const IMAGE_BYTES: usize = snapshot::size(4, 4);
/// For the store: an image, its key, and the flash's alignment.
const BUFFER_BYTES: usize = IMAGE_BYTES + 8;
const POLICY: Policy = match Policy::builder()
    .window(Duration::from_secs(2))
    .plan(Plan::ESSENTIAL, 20, 80)
    .daily_limit(100)
    .build()
{
    Ok(policy) => policy,
    Err(_) => panic!("not a policy"),
};
const RESERVE: Reserve = Reserve {
    ahead: NonZeroU32::new(10).unwrap(),
    ..Reserve::DEFAULT
};
/// How the power fails within the flash, to the host.
const CUT_CODE: u8 = 9;

#[board::entry]
fn main() -> ! {
    let mut console = Console::open();
    let code = match live(&mut console) {
        Ok(()) => 0,
        Err(Failure::Store(StoreError::Flash(NorError::PowerCut))) => CUT_CODE,
        Err(failure) => {
            let _ = writeln!(console, "{failure}");
            1
        }
    };
    console.flush();
    board::exit(code)
}

fn live(console: &mut Console) -> Result<(), Failure> {
    let arguments = Arguments::read().ok_or(Failure::NoLife)?;
    let life = life::parse(arguments.words()).ok_or(Failure::NoLife)?;
    let file = HostFile::open(life.file).ok_or(Failure::NoFile)?;
    let mut device = Device {
        limiter: Reserved::new(POLICY, RESERVE),
        store: Store::new(Nor::new(Flash(file), life.cut, life.seed)),
        clock: Clock {
            millis: 0,
            utc: life.utc,
        },
        refills: 0,
    };
    device.start(console)?;
    device.serve(&life, console)
}

struct Device {
    limiter: Reserved<4, 4>,
    store: Store<Flash>,
    clock: Clock,
    /// What was told of the accounting day.
    refills: u32,
}

impl Device {
    /// Takes over what the flash holds, and says what that was.
    fn start(&mut self, console: &mut Console) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut buffer = [0; BUFFER_BYTES];
        match self.store.load(&mut buffer)? {
            Some(image) => {
                self.limiter
                    .restore(&KEY, image, OffTime::Trust, now.monotonic())
                    .map_err(Failure::Restore)?;
                let image = Image::verify(image, &KEY).map_err(Failure::Restore)?;
                self.refills = image.header().calendar.refills;
                write!(console, "restored {}", self.refills)?;
                for user in USERS {
                    let id = KEY.user(user);
                    let used = image.users().find(|record| record.id == id.as_u64());
                    write!(console, " {}", used.map_or(0, |record| record.used))?;
                }
                writeln!(console)?;
            }
            None if self.store.is_blank()? => writeln!(console, "blank")?,
            None => {
                self.limiter.lose_state(OnLostState::Refuse);
                writeln!(console, "lost")?;
            }
        }
        for user in USERS {
            let registration = Registration::new(KEY.user(user), Kind::ApiToken, Plan::ESSENTIAL);
            self.limiter
                .register(KEY.token(user), registration, now)
                .map_err(|_| Failure::TableFull)?;
        }
        Ok(())
    }

    /// Serves requests at random times until the power is switched off.
    fn serve(&mut self, life: &Life<'_>, console: &mut Console) -> Result<(), Failure> {
        let tokens: [TokenId; 3] = USERS.map(|user| KEY.token(user));
        let mut random = Random::new(life.seed);
        for _ in 0..life.requests {
            self.clock.millis += u64::from(random.below(20_000));
            let user = random.below(3);
            let Some(&token) = tokens.get(user as usize) else {
                continue;
            };
            let (decision, due) = self.decide(&Request::new(token, Method::Post), console)?;
            if decision.is_admitted() {
                // Now it is handed out.
                writeln!(console, "+ {user} {}", self.clock.millis)?;
            }
            // At leisure: the answer does not wait for it.
            if due.is_some() {
                self.save(console)?;
            }
        }
        Ok(writeln!(console, "end {}", self.clock.millis)?)
    }

    /// Decides; says which write is due beside the decision.
    fn decide(
        &mut self,
        request: &Request,
        console: &mut Console,
    ) -> Result<(Decision, Option<WriteDue>), Failure> {
        let now = self.clock.now();
        let mut verdict = self.limiter.check(request, now);
        let refills = self.limiter.limiter().calendar().refills();
        if refills != self.refills {
            self.refills = refills;
            writeln!(console, "d {refills} {}", self.clock.millis)?;
        }
        loop {
            match verdict {
                Verdict::Decided { decision, due } => return Ok((decision, due)),
                Verdict::WriteFirst(_) => {
                    self.save(console)?;
                    verdict = self.limiter.check_again(request, now);
                }
            }
        }
    }

    fn save(&mut self, console: &mut Console) -> Result<(), Failure> {
        let (mut image, mut buffer) = ([0; IMAGE_BYTES], [0; BUFFER_BYTES]);
        let draft = self
            .limiter
            .draft(&KEY, &mut image[..], self.clock.now().monotonic())
            .map_err(|_| Failure::TableFull)?;
        // A product would say `failed` to an error. Here each one is the end of this life.
        self.store.save(&mut buffer, draft.bytes())?;
        self.limiter.stored(draft);
        Ok(console.write_str("w\n")?)
    }
}

/// Time as the host and the requests make it pass.
struct Clock {
    millis: u64,
    /// What the RTC said at the start, in Unix seconds.
    utc: i64,
}

impl Clock {
    fn now(&self) -> Now {
        let seconds = i64::try_from(self.millis / 1_000).unwrap_or(i64::MAX);
        let utc = u64::try_from(self.utc.saturating_add(seconds));
        Now::new(
            Instant::from_millis(self.millis),
            utc.ok().and_then(UnixTime::from_secs),
        )
    }
}

/// The flash's bytes in the host's file.
struct Flash(HostFile);

impl Medium for Flash {
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), MediumFailed> {
        self.0.read(at, bytes).ok_or(MediumFailed)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), MediumFailed> {
        self.0.write(at, bytes).ok_or(MediumFailed)
    }
}

/// Why a life ended before its time.
enum Failure {
    NoLife,
    NoFile,
    Store(StoreError),
    Restore(snapshot::RestoreError),
    TableFull,
    Format(fmt::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<fmt::Error> for Failure {
    fn from(error: fmt::Error) -> Self {
        Self::Format(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLife => f.write_str("no life: FILE SEED CUT UTC REQUESTS"),
            Self::NoFile => f.write_str("the file cannot be opened"),
            Self::Store(error) => error.fmt(f),
            Self::Restore(error) => write!(f, "the image in flash is not believed: {error}"),
            Self::TableFull => f.write_str("the table is too small"),
            Self::Format(error) => error.fmt(f),
        }
    }
}
