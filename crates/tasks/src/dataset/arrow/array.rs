//! The arrays of a batch: buffers, checked once, from which single values are taken.

use std::{collections::BTreeMap, io::Read, ops::Range, rc::Rc};

use super::{
    flat::{Table, integer},
    schema::{Field, Kind},
};

/// Most bytes of a batch, unpacked, and of the texts and values taken from it.
pub(super) const LARGEST_BATCH: u64 = 1 << 30;
/// Values that an array may hold regardless of the size of its batch.
const FEW_VALUES: u64 = 1 << 20;
/// Values that it may hold per byte of a larger batch, which may be compressed.
const VALUES_PER_BYTE: u64 = 64;
/// Deepest nesting of arrays and dictionaries in each other.
const DEEPEST: usize = 128;

/// The arrays of each dictionary, the first values first.
pub(super) type Dictionaries = BTreeMap<i64, Vec<Rc<Array>>>;

/// A column of a batch, or a part of one.
pub(super) struct Array {
    pub(super) kind: Kind,
    pub(super) length: usize,
    valid: Option<Bytes>,
    /// Numbers, offsets or views.
    pub(super) items: Bytes,
    /// Texts: one buffer, or those to which views refer.
    pub(super) texts: Vec<Bytes>,
    pub(super) names: Vec<String>,
    pub(super) children: Vec<Array>,
    /// The values to which the items are indices.
    pub(super) dictionary: Option<Vec<Rc<Array>>>,
    depth: usize,
}

/// A buffer.
#[derive(Clone, Default)]
pub(super) struct Bytes {
    data: Rc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    pub(super) fn all(&self) -> &[u8] {
        &self.data[self.range.clone()]
    }
}

impl Array {
    pub(super) fn is_valid(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| bit(valid.all(), row))
    }

    /// An offset of a list or text.
    fn offset(&self, index: usize, width: usize) -> Option<u64> {
        match width {
            4 => u64::try_from(i32::from_le_bytes(integer(self.items.all(), index.checked_mul(4)?)?)).ok(),
            _ => u64::try_from(i64::from_le_bytes(integer(self.items.all(), index.checked_mul(8)?)?)).ok(),
        }
    }

    /// What the offsets of a row enclose.
    pub(super) fn enclosed(&self, row: usize, width: usize) -> Option<Range<usize>> {
        let (start, end) = (self.offset(row, width)?, self.offset(row + 1, width)?);
        (start <= end).then_some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

pub(super) fn bit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// Takes the arrays of a batch from its body, in the order of the columns.
pub(super) struct Batch<'a> {
    body: Rc<Vec<u8>>,
    nodes: std::vec::IntoIter<i64>,
    buffers: std::vec::IntoIter<i64>,
    views: std::vec::IntoIter<i64>,
    codec: Option<u8>,
    /// Bytes that may still be unpacked.
    left: u64,
    dictionaries: &'a Dictionaries,
}

impl<'a> Batch<'a> {
    pub(super) fn new(header: Table<'_>, body: Vec<u8>, dictionaries: &'a Dictionaries) -> Batch<'a> {
        let longs = |index, per_element: usize| {
            let elements = header.elements(index, 8 * per_element);
            elements.map_or(Vec::new(), |elements| elements.longs(per_element)).into_iter()
        };
        Batch {
            body: Rc::new(body),
            nodes: longs(1, 2),
            buffers: longs(2, 2),
            views: longs(4, 1),
            codec: header.table(3).map(|compression| compression.byte(0)),
            left: LARGEST_BATCH,
            dictionaries,
        }
    }

    /// The next array, which has this column's type.
    pub(super) fn array(&mut self, field: &Field) -> Result<Array, String> {
        let wrong = |problem: String| format!("column `{}`: {problem}", field.name.escape_debug());
        self.parts(field).map_err(wrong)
    }

    fn parts(&mut self, field: &Field) -> Result<Array, String> {
        let length = self.nodes.next().and_then(|length| usize::try_from(length).ok()).ok_or_else(damaged)?;
        self.nodes.next();
        if length as u64 > FEW_VALUES.max(VALUES_PER_BYTE * self.body.len() as u64) {
            return Err(format!("{length} values in {} bytes", self.body.len()));
        }
        let kind = field.dictionary.map_or(field.kind, |(_, index)| index);
        let mut array = Array {
            kind,
            length,
            valid: None,
            items: Bytes::default(),
            texts: Vec::new(),
            names: Vec::new(),
            children: Vec::new(),
            dictionary: None,
            depth: 1,
        };
        if kind == Kind::Null {
            return Ok(array);
        }
        let valid = self.buffer()?;
        array.valid = (!valid.all().is_empty()).then_some(valid);
        if !matches!(kind, Kind::Struct | Kind::FixedList(_)) {
            array.items = self.buffer()?;
        }
        match kind {
            Kind::Text(_) => array.texts = vec![self.buffer()?],
            Kind::TextView => {
                let count = self.views.next().ok_or_else(damaged)?;
                array.texts = (0..count).map(|_| self.buffer()).collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        if let Some((number, _)) = field.dictionary {
            array.dictionary = Some(self.dictionaries.get(&number).cloned().unwrap_or_default());
        } else {
            array.children = field.children.iter().map(|child| self.array(child)).collect::<Result<_, _>>()?;
            array.names = field.children.iter().map(|child| child.name.clone()).collect();
        }
        let values = array.dictionary.iter().flatten().map(|values| values.depth);
        array.depth += array.children.iter().map(|child| child.depth).chain(values).max().unwrap_or(0);
        if array.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} levels of nested values"));
        }
        check(&array)?;
        Ok(array)
    }

    /// The next buffer, unpacked.
    fn buffer(&mut self) -> Result<Bytes, String> {
        let mut place = || self.buffers.next().and_then(|value| usize::try_from(value).ok()).ok_or_else(damaged);
        let (start, length) = (place()?, place()?);
        let end = start.checked_add(length).filter(|end| *end <= self.body.len()).ok_or_else(damaged)?;
        let range = start..end;
        let Some(codec) = self.codec.filter(|_| length > 0) else {
            return Ok(Bytes { data: self.body.clone(), range });
        };
        let claimed = i64::from_le_bytes(integer(&self.body, start).filter(|_| length >= 8).ok_or_else(damaged)?);
        if claimed == -1 {
            return Ok(Bytes { data: self.body.clone(), range: start + 8..end });
        }
        let claimed = u64::try_from(claimed).map_err(|_| damaged())?;
        self.left = self.left.checked_sub(claimed).ok_or_else(|| {
            format!("the buffers of a batch claim more than {LARGEST_BATCH} bytes: write the file with smaller batches")
        })?;
        let packed = &self.body[start + 8..end];
        let mut unpacked = Vec::new();
        let read = match codec {
            0 => lz4_flex::frame::FrameDecoder::new(packed).take(claimed).read_to_end(&mut unpacked),
            1 => zstd::Decoder::new(packed).and_then(|decoder| decoder.take(claimed).read_to_end(&mut unpacked)),
            _ => return Err("compressed in an unknown way".to_owned()),
        };
        read.map_err(|error| format!("a damaged buffer: {error}"))?;
        let range = 0..unpacked.len();
        Ok(Bytes { data: Rc::new(unpacked), range })
    }
}

pub(super) fn damaged() -> String {
    "damaged: a value lies outside of its buffer".to_owned()
}

/// Checks that an array has all its values, and that its lists do not overlap.
fn check(array: &Array) -> Result<(), String> {
    let bytes = array.items.all().len();
    let holds = |width: usize| array.length.checked_mul(width).is_some_and(|needed| needed <= bytes);
    let child = |needed: usize| array.children.first().is_some_and(|child| needed <= child.length);
    let complete = match array.kind {
        Kind::Null => true,
        Kind::Bool => array.length <= bytes.saturating_mul(8),
        Kind::Signed(width @ (1 | 2 | 4 | 8)) | Kind::Unsigned(width @ (1 | 2 | 4 | 8)) => holds(width),
        Kind::Signed(_) | Kind::Unsigned(_) => false,
        Kind::Float(width) | Kind::Decimal(width, _) | Kind::Date(width) | Kind::FixedBytes(width) => holds(width),
        Kind::Timestamp(_) => holds(8),
        Kind::TextView => holds(16),
        Kind::Struct => array.children.iter().all(|child| array.length <= child.length),
        Kind::FixedList(size) => array.length.checked_mul(size).is_some_and(child),
        // An empty array may have no offsets.
        Kind::Text(_) | Kind::List(_) | Kind::Map if array.length == 0 => true,
        Kind::Text(width) => (0..array.length)
            .all(|row| array.enclosed(row, width).is_some_and(|range| range.end <= array.texts[0].all().len())),
        Kind::List(_) | Kind::Map => {
            let width = if let Kind::List(width) = array.kind { width } else { 4 };
            (0..array.length).all(|row| array.enclosed(row, width).is_some_and(|range| child(range.end)))
        }
    };
    let valid = array.valid.as_ref().is_none_or(|valid| array.length <= valid.all().len().saturating_mul(8));
    (complete && valid).then_some(()).ok_or_else(damaged)
}
