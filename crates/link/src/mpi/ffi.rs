//! The functions of an MPI library that was loaded at run time: the only `unsafe` code of this crate.
//!
//! MPI's handles differ between libraries: addresses of objects (Open MPI), 32-bit numbers (MPICH), small numbers in a
//! pointer's place (the standard ABI). All are passed as pointer-sized numbers here: where the callee takes 32 bits, it
//! reads the lower half of the register, on every platform on which these libraries are built for 64 bits.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::time::{Duration, Instant};

use libloading::os::unix::{Library as File, RTLD_GLOBAL, RTLD_NOW};

type Handle = usize;

/// How long MPI may take to give back the memory of a transfer that is given up.
const TAKE_BACK: Duration = Duration::from_secs(2);
/// Room for the texts of every library: the standard allows 8192 for versions.
const TEXT_BYTES: usize = 8192;

/// What differs between the libraries.
struct Abi {
    world: Handle,
    byte: Handle,
    float: Handle,
    sum: Handle,
    errors_return: Handle,
    any_source: c_int,
    status_ignore: Handle,
    in_place: Handle,
    serialized: c_int,
}

/// Declares the functions that are looked up, and the table of their addresses.
macro_rules! functions {
    ($($field:ident = $name:literal ($($argument:ty),*);)*) => {
        struct Functions { $($field: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl Functions {
            fn find(file: &File) -> Result<Self, String> {
                // SAFETY: MPI's standard gives these functions these types in C, apart from the handles (above).
                unsafe { Ok(Self { $($field: *file.get($name).map_err(cause)?,)* }) }
            }
        }
    };
}

functions! {
    init_thread = b"MPI_Init_thread\0" (*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int);
    version = b"MPI_Get_library_version\0" (*mut c_char, *mut c_int);
    error_string = b"MPI_Error_string\0" (c_int, *mut c_char, *mut c_int);
    set_errhandler = b"MPI_Comm_set_errhandler\0" (Handle, Handle);
    rank = b"MPI_Comm_rank\0" (Handle, *mut c_int);
    size = b"MPI_Comm_size\0" (Handle, *mut c_int);
    isend = b"MPI_Isend\0" (*const c_void, c_int, Handle, c_int, c_int, Handle, *mut Handle);
    irecv = b"MPI_Irecv\0" (*mut c_void, c_int, Handle, c_int, c_int, Handle, *mut Handle);
    test = b"MPI_Test\0" (*mut Handle, *mut c_int, Handle);
    cancel = b"MPI_Cancel\0" (*mut Handle);
    iprobe = b"MPI_Iprobe\0" (c_int, c_int, Handle, *mut c_int, Handle);
    recv = b"MPI_Recv\0" (*mut c_void, c_int, Handle, c_int, c_int, Handle, Handle);
    allreduce = b"MPI_Allreduce\0" (Handle, *mut c_void, c_int, Handle, Handle, Handle);
    abort = b"MPI_Abort\0" (Handle, c_int);
    finalize = b"MPI_Finalize\0" ();
}

/// A loaded library. It is never unloaded: MPI leaves threads and handlers behind.
pub(super) struct Library {
    functions: Functions,
    abi: Abi,
}

impl Library {
    /// Loads the library at `path`, which may be a bare name for the system's search.
    pub(super) fn open(path: &Path) -> Result<&'static Self, String> {
        // SAFETY: an MPI library's initializers have no preconditions. Its symbols are visible to its plugins, which
        // Open MPI needs.
        let file = unsafe { File::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(cause)?;
        let functions = Functions::find(&file)?;
        let abi = if let Some(abi) = Abi::open_mpi(&file) {
            abi
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains("mpi_abi")) {
            Abi::STANDARD
        } else {
            Abi::MPICH
        };
        std::mem::forget(file);
        Ok(Box::leak(Box::new(Self { functions, abi })))
    }

    /// The library's name and version, as it says.
    pub(super) fn version(&self) -> String {
        // SAFETY: the buffer is as long as the longest text; this function may be called before `init`.
        text(|buffer, length| unsafe { (self.functions.version)(buffer, length) })
    }

    /// Begins MPI, for calls from one thread at a time, and makes errors return codes. Returns (rank, size).
    pub(super) fn init(&self) -> Result<(usize, usize), String> {
        let (mut provided, mut rank, mut size) = (0, 0, 0);
        // SAFETY: the standard allows null for the arguments; the outputs are variables of this frame; `Mpi::start` calls
        // this once.
        let code = unsafe {
            (self.functions.init_thread)(std::ptr::null_mut(), std::ptr::null_mut(), self.abi.serialized, &mut provided)
        };
        self.check(code)?;
        if provided < self.abi.serialized {
            return Err("the library was built without support for threads (MPI_THREAD_SERIALIZED)".into());
        }
        let world = self.abi.world;
        // SAFETY: MPI has begun, and the handles are the library's own.
        self.check(unsafe { (self.functions.set_errhandler)(world, self.abi.errors_return) })?;
        // SAFETY: as above; the outputs are variables of this frame.
        self.check(unsafe { (self.functions.rank)(world, &mut rank) })?;
        // SAFETY: as above.
        self.check(unsafe { (self.functions.size)(world, &mut size) })?;
        Ok((rank as usize, size as usize))
    }

    /// Ends MPI; waits for all ranks.
    pub(super) fn finalize(&self) {
        // SAFETY: called once, after `init`, when no transfer is under way (they end before `exchange` returns).
        unsafe { (self.functions.finalize)() };
    }

    /// Ends all processes of the job.
    pub(super) fn abort(&self) -> ! {
        // SAFETY: MPI has begun.
        unsafe { (self.functions.abort)(self.abi.world, 1) };
        std::process::abort()
    }

    /// Begins to send `bytes` to `peer`.
    pub(super) fn send<'b>(&'static self, bytes: &'b [u8], peer: usize, tag: c_int) -> Result<Transfer<'b>, String> {
        let (data, count) = (bytes.as_ptr(), count(bytes));
        let mut request = 0;
        // SAFETY: the returned transfer keeps the bytes borrowed until MPI is done with them.
        let code = unsafe {
            (self.functions.isend)(data.cast(), count, self.abi.byte, peer as c_int, tag, self.abi.world, &mut request)
        };
        self.check(code)?;
        Ok(Transfer { library: self, request, done: false, bytes: PhantomData })
    }

    /// Begins to fill `bytes` with what `peer` sends.
    pub(super) fn receive<'b>(
        &'static self,
        bytes: &'b mut [u8],
        peer: usize,
        tag: c_int,
    ) -> Result<Receiving<'b>, String> {
        let (data, length, count) = (bytes.as_mut_ptr(), bytes.len(), count(bytes));
        let mut request = 0;
        // SAFETY: the returned transfer keeps the bytes mutably borrowed until MPI is done with them.
        let code = unsafe {
            (self.functions.irecv)(data.cast(), count, self.abi.byte, peer as c_int, tag, self.abi.world, &mut request)
        };
        self.check(code)?;
        Ok(Receiving { transfer: Transfer { library: self, request, done: false, bytes: PhantomData }, data, length })
    }

    /// Fills `bytes` with a message that has come from any rank with this tag; false if there is none.
    pub(super) fn poll(&self, bytes: &mut [u8], tag: c_int) -> bool {
        let (any, world, ignore) = (self.abi.any_source, self.abi.world, self.abi.status_ignore);
        let mut there = 0;
        // SAFETY: the output is a variable of this frame.
        let code = unsafe { (self.functions.iprobe)(any, tag, world, &mut there, ignore) };
        if code != 0 || there == 0 {
            return false;
        }
        let (data, count) = (bytes.as_mut_ptr().cast(), count(bytes));
        // SAFETY: the call returns when the buffer is filled; a longer message is an error and not written beyond it.
        unsafe { (self.functions.recv)(data, count, self.abi.byte, any, tag, world, ignore) == 0 }
    }

    /// The library's own sum over all ranks, in whatever order it likes.
    pub(super) fn sum(&self, values: &mut [f32]) -> Result<(), String> {
        // The count is an `int`.
        for values in values.chunks_mut(1 << 30) {
            let (data, count) = (values.as_mut_ptr().cast(), values.len() as c_int);
            let Abi { in_place, float, sum, world, .. } = self.abi;
            // SAFETY: the buffer holds `count` floats, and the call returns when it is done with them.
            self.check(unsafe { (self.functions.allreduce)(in_place, data, count, float, sum, world) })?;
        }
        Ok(())
    }

    fn check(&self, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the buffer is as long as the longest text.
        Err(text(|buffer, length| unsafe { (self.functions.error_string)(code, buffer, length) }))
    }
}

/// A message under way. MPI uses its memory until it is [done](Self::is_done) or dropped.
///
/// It must not be leaked, unless its memory is: `exchange.rs` keeps them in variables of one function.
pub(super) struct Transfer<'b> {
    library: &'static Library,
    request: Handle,
    done: bool,
    bytes: PhantomData<&'b mut [u8]>,
}

impl Transfer<'_> {
    /// Lets MPI work, and tells whether the message has been sent or received.
    pub(super) fn is_done(&mut self) -> Result<bool, String> {
        if !self.done {
            let mut flag = 0;
            // SAFETY: the request was begun and is not done; the outputs live as long as the call.
            let code =
                unsafe { (self.library.functions.test)(&mut self.request, &mut flag, self.library.abi.status_ignore) };
            // After an error the request is gone.
            self.done = flag != 0 || code != 0;
            self.library.check(code)?;
        }
        Ok(self.done)
    }

    /// Asks MPI for the memory back. False if it cannot give it: a message half sent to a rank that hangs.
    pub(super) fn take_back(&mut self) -> bool {
        if !self.done {
            // SAFETY: the request was begun and is not done.
            unsafe { (self.library.functions.cancel)(&mut self.request) };
        }
        let begun = Instant::now();
        while begun.elapsed() < TAKE_BACK {
            if self.is_done().unwrap_or(true) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

/// A message that is received, and the memory that it fills.
pub(super) struct Receiving<'b> {
    pub(super) transfer: Transfer<'b>,
    data: *mut u8,
    length: usize,
}

impl<'b> Receiving<'b> {
    /// The memory, once the message has come.
    pub(super) fn into_memory(self) -> &'b mut [u8] {
        assert!(self.transfer.done, "MPI is done with the memory");
        // SAFETY: `receive` made these of a slice that was mutably borrowed for 'b and gave it to nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.length) }
    }
}

impl Drop for Transfer<'_> {
    /// The memory must not be used by others while MPI may still write to it.
    fn drop(&mut self) {
        if !self.done && !self.take_back() {
            self.library.abort();
        }
    }
}

impl Abi {
    const MPICH: Self = Self {
        world: 0x4400_0000,
        byte: 0x4c00_010d,
        float: 0x4c00_040a,
        sum: 0x5800_0003,
        errors_return: 0x5400_0001,
        any_source: -2,
        status_ignore: 1,
        in_place: usize::MAX,
        serialized: 2,
    };

    /// MPI 5.0, chapter 20.
    const STANDARD: Self = Self {
        world: 0x101,
        byte: 0x247,
        float: 0x210,
        sum: 0x21,
        errors_return: 0x143,
        any_source: -1,
        status_ignore: 0,
        in_place: 1,
        serialized: 2048,
    };

    /// Open MPI's handles are the addresses of its objects; `None` for other libraries, which have none of this name.
    fn open_mpi(file: &File) -> Option<Self> {
        let object = |name: &[u8]| {
            // SAFETY: only the address is used.
            unsafe { file.get::<*mut c_void>(name) }.ok().map(|symbol| symbol.into_raw() as Handle)
        };
        Some(Self {
            world: object(b"ompi_mpi_comm_world\0")?,
            byte: object(b"ompi_mpi_byte\0")?,
            float: object(b"ompi_mpi_float\0")?,
            sum: object(b"ompi_mpi_op_sum\0")?,
            errors_return: object(b"ompi_mpi_errors_return\0")?,
            any_source: -1,
            status_ignore: 0,
            in_place: 1,
            serialized: 2,
        })
    }
}

/// What the system's loader says.
fn cause(error: libloading::Error) -> String {
    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A message's length. Pieces are far shorter than an `int` allows.
fn count(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).expect("a message is shorter than 2 GB")
}

/// The text that a function writes.
fn text(write: impl Fn(*mut c_char, *mut c_int) -> c_int) -> String {
    let mut buffer = [0; TEXT_BYTES + 1];
    let mut length = 0;
    if write(buffer.as_mut_ptr().cast(), &mut length) != 0 {
        return "an error that the library does not explain".into();
    }
    buffer[TEXT_BYTES] = 0;
    CStr::from_bytes_until_nul(&buffer).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}
