//! The terminal: taking it, giving it back, drawing and reading keys.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal},
    os::fd::AsFd,
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen},
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::getpgrp,
    termios::{
        InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
        tcsetattr,
    },
};

use super::keys::Key;

/// The whole terminal, until this is dropped.
pub(super) struct FullScreen {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    keyboard: Option<Keyboard>,
}

/// Whether the terminal is ours to draw on: the shell has not put the program into the background, and the size is known.
pub(super) fn is_free() -> bool {
    let stdout = io::stdout();
    let in_background = tcgetpgrp(&stdout).is_ok_and(|group| group != getpgrp());
    !in_background && tcgetwinsize(&stdout).is_ok_and(|size| size.ws_col > 0 && size.ws_row > 0)
}

impl FullScreen {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        let keyboard = if io::stdin().is_terminal() { Some(Keyboard::take()?) } else { None };
        // A handle of its own: `stdout()` is locked while it is written, and a terminal that is stuck would hold the lock.
        let output = BufWriter::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        let mut screen = Self { terminal: Terminal::new(CrosstermBackend::new(output))?, keyboard };
        execute!(screen.terminal.backend_mut(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(frame).map(drop)
    }

    /// Makes the next frame draw every character, also those that another program has overwritten.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize((ratatui::layout::Position::ORIGIN, size).into())
    }

    /// Waits for a key, but no longer than this.
    pub(super) fn key(&mut self, patience: Duration) -> Option<Key> {
        match &mut self.keyboard {
            Some(keyboard) => keyboard.key(patience),
            None => {
                std::thread::sleep(patience);
                None
            }
        }
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        drop(execute!(self.terminal.backend_mut(), LeaveAlternateScreen, Show));
    }
}

/// Keys as they are pressed, until this is dropped.
struct Keyboard {
    before: Termios,
    unread: Vec<u8>,
    is_closed: bool,
}

impl Keyboard {
    /// Switches lines and echo off. Ctrl-C and Ctrl-Z remain signals; only Ctrl-S, which would freeze the screen, is off.
    fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        modes.input_modes -= InputModes::IXON;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        Ok(Self { before, unread: Vec::new(), is_closed: false })
    }

    fn key(&mut self, patience: Duration) -> Option<Key> {
        if self.unread.is_empty() {
            self.read(patience);
        }
        while !self.unread.is_empty() {
            let (key, length) = Key::first(&self.unread);
            self.unread.drain(..length);
            if key.is_some() {
                return key;
            }
        }
        None
    }

    /// Reads what has been typed. Nothing is read beyond that, so what is typed later is for the program that comes next.
    fn read(&mut self, patience: Duration) {
        if self.is_closed {
            return std::thread::sleep(patience);
        }
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        match poll(&mut waiting, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let mut bytes = [0; 256];
                let read = rustix::io::read(&stdin, &mut bytes).unwrap_or(0);
                self.is_closed = read == 0;
                self.unread.extend_from_slice(&bytes[..read]);
            }
            Err(_) => self.is_closed = true,
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
