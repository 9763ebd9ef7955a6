//! Columns and their types.

use super::flat::Table;

/// Maximum number of columns, counting each nested one.
const MAX_COLUMNS: usize = 10_000;
/// Deepest nesting of columns.
const DEEPEST: usize = 64;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) children: Vec<Field>,
    /// The number of the dictionary that holds the values, and how wide its indices are.
    pub(super) dictionary: Option<(i64, Kind)>,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
    /// The width in bytes, and the decimal places.
    Decimal(usize, i32),
    /// Days, or milliseconds.
    Date(usize),
    /// Units per second.
    Timestamp(i64),
    /// With offsets of so many bytes.
    Text(usize),
    TextView,
    FixedBytes(usize),
    List(usize),
    FixedList(usize),
    Struct,
    Map,
}

/// The columns of a schema message.
pub(super) fn fields(schema: Table<'_>) -> Result<Vec<Field>, String> {
    if schema.short(0, 0) != 0 {
        return Err("numbers with the highest byte first are not read".to_owned());
    }
    let mut count = 0;
    schema.tables(1).ok_or_else(damaged)?.into_iter().map(|field| column(field, 0, &mut count)).collect()
}

fn damaged() -> String {
    "damaged schema".to_owned()
}

fn column(field: Table<'_>, depth: usize, count: &mut usize) -> Result<Field, String> {
    *count += 1;
    if *count > MAX_COLUMNS || depth > DEEPEST {
        return Err(format!("more than {MAX_COLUMNS} columns or {DEEPEST} levels of nested ones"));
    }
    let name = field.text(0).unwrap_or_default().to_owned();
    let kind = kind(field.byte(2), field.table(3)).map_err(|kind| {
        format!("column `{}` is of a type that is not read ({kind}): write the file without it", name.escape_debug())
    })?;
    let dictionary = field.table(4).map(|encoding| (encoding.long(0), encoding.table(1).map_or(Kind::Signed(4), int)));
    let children = field.tables(5).ok_or_else(damaged)?;
    let children: Vec<Field> =
        children.into_iter().map(|child| column(child, depth + 1, count)).collect::<Result<_, _>>()?;
    let expected = match kind {
        Kind::List(_) | Kind::FixedList(_) | Kind::Map => children.len() == 1,
        Kind::Struct => true,
        _ => children.is_empty(),
    };
    if !expected || kind == Kind::Map && (children[0].kind != Kind::Struct || children[0].children.len() != 2) {
        return Err(damaged());
    }
    Ok(Field { name, kind, children, dictionary })
}

fn int(table: Table<'_>) -> Kind {
    let width = (table.int(0, 0) / 8).clamp(0, 8) as usize;
    if table.byte(1) == 1 { Kind::Signed(width) } else { Kind::Unsigned(width) }
}

/// The type with this number; as an error, the name of one that is not read.
fn kind(number: u8, table: Option<Table<'_>>) -> Result<Kind, &'static str> {
    let short = |default| table.map_or(default, |table| table.short(0, default));
    let size = |index, default| table.and_then(|table| usize::try_from(table.int(index, default)).ok()).unwrap_or(0);
    let per_second = |unit| [1, 1_000, 1_000_000, 1_000_000_000][usize::from(unit as u16).min(3)];
    Ok(match number {
        1 => Kind::Null,
        2 => table.map_or(Kind::Signed(0), int),
        3 => Kind::Float([2, 4, 8][usize::from(short(0) as u16).min(2)]),
        4 | 5 => Kind::Text(4),
        6 => Kind::Bool,
        7 => match size(2, 128) {
            bits @ (32 | 64 | 128) => Kind::Decimal(bits / 8, table.map_or(0, |table| table.int(1, 0))),
            _ => return Err("a decimal of 256 bits"),
        },
        8 => Kind::Date(if short(1) == 0 { 4 } else { 8 }),
        9 => Kind::Signed(size(1, 32) / 8),
        10 => Kind::Timestamp(per_second(short(0))),
        11 => return Err("an interval"),
        12 => Kind::List(4),
        13 => Kind::Struct,
        14 => return Err("a union"),
        15 => Kind::FixedBytes(size(0, 0)),
        16 => Kind::FixedList(size(0, 0)),
        17 => Kind::Map,
        18 => Kind::Signed(8),
        19 | 20 => Kind::Text(8),
        21 => Kind::List(8),
        22 => return Err("run-end encoded"),
        23 | 24 => Kind::TextView,
        25 | 26 => return Err("a list view"),
        _ => return Err("unknown"),
    })
}
