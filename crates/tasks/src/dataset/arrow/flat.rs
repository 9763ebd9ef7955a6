//! Tables of the FlatBuffers format, in which Arrow describes its messages. Every access is checked.

/// A table in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fixed-size elements of a vector.
pub(super) struct Elements<'a> {
    pub(super) bytes: &'a [u8],
    at: usize,
    pub(super) length: usize,
}

impl<'a> Table<'a> {
    /// The table at the root of a buffer.
    pub(super) fn root(bytes: &'a [u8]) -> Option<Table<'a>> {
        Table::referred(bytes, 0)
    }

    /// The table to which an offset refers.
    fn referred(bytes: &'a [u8], at: usize) -> Option<Table<'a>> {
        Some(Table { bytes, at: at.checked_add(integer::<4>(bytes, at).map(u32::from_le_bytes)? as usize)? })
    }

    /// Where a field is; `None` if it has its default value.
    fn field(&self, index: usize) -> Option<usize> {
        let back = i32::from_le_bytes(integer(self.bytes, self.at)?);
        let layout = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let length = usize::from(u16::from_le_bytes(integer(self.bytes, layout)?));
        let entry = 4 + 2 * index;
        if entry + 2 > length {
            return None;
        }
        let offset = usize::from(u16::from_le_bytes(integer(self.bytes, layout.checked_add(entry)?)?));
        (offset > 0).then(|| self.at.checked_add(offset)).flatten()
    }

    pub(super) fn byte(&self, index: usize) -> u8 {
        self.field(index).and_then(|at| integer::<1>(self.bytes, at)).map_or(0, |[byte]| byte)
    }

    pub(super) fn short(&self, index: usize, default: i16) -> i16 {
        self.field(index).and_then(|at| integer(self.bytes, at)).map_or(default, i16::from_le_bytes)
    }

    pub(super) fn int(&self, index: usize, default: i32) -> i32 {
        self.field(index).and_then(|at| integer(self.bytes, at)).map_or(default, i32::from_le_bytes)
    }

    pub(super) fn long(&self, index: usize) -> i64 {
        self.field(index).and_then(|at| integer(self.bytes, at)).map_or(0, i64::from_le_bytes)
    }

    pub(super) fn table(&self, index: usize) -> Option<Table<'a>> {
        Table::referred(self.bytes, self.field(index)?)
    }

    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        let bytes = self.elements(index, 1)?;
        std::str::from_utf8(bytes.bytes.get(bytes.at..bytes.at + bytes.length)?).ok()
    }

    /// A vector whose elements have so many bytes.
    pub(super) fn elements(&self, index: usize, width: usize) -> Option<Elements<'a>> {
        let field = self.field(index)?;
        let start = field.checked_add(u32::from_le_bytes(integer(self.bytes, field)?) as usize)?;
        let length = u32::from_le_bytes(integer(self.bytes, start)?) as usize;
        let at = start + 4;
        self.bytes.get(at..at.checked_add(length.checked_mul(width)?)?)?;
        Some(Elements { bytes: self.bytes, at, length })
    }

    /// A vector of tables; empty if there is none.
    pub(super) fn tables(&self, index: usize) -> Option<Vec<Table<'a>>> {
        let Some(elements) = self.elements(index, 4) else { return Some(Vec::new()) };
        (0..elements.length).map(|element| Table::referred(self.bytes, elements.at + 4 * element)).collect()
    }
}

impl Elements<'_> {
    /// The 64-bit integers of which the vector consists.
    pub(super) fn longs(&self, per_element: usize) -> Vec<i64> {
        let all = 0..self.length * per_element;
        all.filter_map(|index| integer(self.bytes, self.at + 8 * index)).map(i64::from_le_bytes).collect()
    }
}

/// The bytes of an integer.
pub(super) fn integer<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
