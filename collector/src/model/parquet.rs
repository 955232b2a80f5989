//! Parquet files: rows in, columns out, with money as `DECIMAL(38, 12)`, so that a reader has exact values.
//!
//! Rows wait until there are enough for a group; a file of any length is written in the memory of one.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// Text.
    Text,
    /// A whole number.
    Whole,
    /// A number with twelve decimals.
    Decimal,
    /// An instant, Unix milliseconds UTC.
    Instant,
    /// Yes or no.
    Flag,
}

/// A value of a column; each may be absent.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Nothing,
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// So many units of 10⁻¹².
    Decimal(i128),
    /// Unix milliseconds UTC.
    Instant(i64),
    /// Yes or no.
    Flag(bool),
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotParquet {
    /// The writer failed.
    #[error("{0}")]
    Writer(#[from] ParquetError),
    /// A value that its column does not hold.
    #[error("column `{0}` holds something else than it should")]
    Value(String),
    /// A number of more digits than 38.
    #[error("column `{0}` has a number that is out of range")]
    Range(String),
}

/// Writes a file.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Waiting>,
    rows: usize,
    /// Bytes of the texts that wait.
    bytes: usize,
}

/// The values of a column that wait.
struct Waiting {
    name: String,
    values: Values,
    /// 1 where there is a value.
    levels: Vec<i16>,
}

enum Values {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    Decimal(Vec<FixedLenByteArray>),
    Instant(Vec<i64>),
    Flag(Vec<bool>),
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file with these columns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(sink: W, columns: &[(String, Holds)]) -> Result<Self, NotParquet> {
        let fields = columns.iter().map(|(name, holds)| Ok(Arc::new(holds.field(name)?)));
        let fields = fields.collect::<Result<_, ParquetError>>()?;
        let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("tollgate ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties))?;
        let columns = columns.iter().map(|(name, holds)| Waiting {
            name: name.clone(),
            values: holds.none(),
            levels: Vec::new(),
        });
        Ok(Self { file, columns: columns.collect(), rows: 0, bytes: 0 })
    }

    /// Adds a row, with a value for each column.
    ///
    /// # Errors
    /// For a value that its column does not hold, and when the file cannot be written.
    pub fn row(&mut self, values: impl IntoIterator<Item = Value>) -> Result<(), NotParquet> {
        let mut values = values.into_iter();
        for column in &mut self.columns {
            let value = values.next().unwrap_or(Value::Nothing);
            if let Value::Text(text) = &value {
                self.bytes = self.bytes.saturating_add(text.len());
            }
            column.push(value)?;
        }
        self.rows = self.rows.saturating_add(1);
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Ends the file; gives back where it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, NotParquet> {
        if self.rows > 0 {
            self.end_group()?;
        }
        Ok(self.file.into_inner()?)
    }

    fn end_group(&mut self) -> Result<(), NotParquet> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl<W: Write + Send> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Holds {
    fn field(self, name: &str) -> Result<Type, ParquetError> {
        let of =
            |physical| Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        match self {
            Self::Text => of(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)).build(),
            Self::Whole => of(Physical::INT64).build(),
            Self::Decimal => of(Physical::FIXED_LEN_BYTE_ARRAY)
                .with_length(16)
                .with_precision(DIGITS)
                .with_scale(DECIMALS)
                .with_logical_type(Some(LogicalType::decimal(DECIMALS, DIGITS)))
                .build(),
            Self::Instant => of(Physical::INT64)
                .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
                .build(),
            Self::Flag => of(Physical::BOOLEAN).build(),
        }
    }

    const fn none(self) -> Values {
        match self {
            Self::Text => Values::Text(Vec::new()),
            Self::Whole => Values::Whole(Vec::new()),
            Self::Decimal => Values::Decimal(Vec::new()),
            Self::Instant => Values::Instant(Vec::new()),
            Self::Flag => Values::Flag(Vec::new()),
        }
    }
}

impl Waiting {
    fn push(&mut self, value: Value) -> Result<(), NotParquet> {
        self.levels.push(i16::from(value != Value::Nothing));
        match (&mut self.values, value) {
            (_, Value::Nothing) => {}
            (Values::Text(all), Value::Text(text)) => all.push(text.into_bytes().into()),
            (Values::Whole(all), Value::Whole(number)) => all.push(number),
            (Values::Instant(all), Value::Instant(ms)) => all.push(ms),
            (Values::Flag(all), Value::Flag(flag)) => all.push(flag),
            (Values::Decimal(all), Value::Decimal(units)) => {
                if units.unsigned_abs() >= 10u128.pow(DIGITS.unsigned_abs()) {
                    return Err(NotParquet::Range(self.name.clone()));
                }
                all.push(ByteArray::from(units.to_be_bytes().to_vec()).into());
            }
            _ => return Err(NotParquet::Value(self.name.clone())),
        }
        Ok(())
    }

    /// Writes what waits.
    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), NotParquet> {
        let Some(mut column) = group.next_column()? else { return Err(NotParquet::Value(self.name.clone())) };
        let levels = Some(self.levels.as_slice());
        match &mut self.values {
            Values::Text(all) => {
                column.typed::<ByteArrayType>().write_batch(all, levels, None)?;
                all.clear();
            }
            Values::Decimal(all) => {
                column.typed::<FixedLenByteArrayType>().write_batch(all, levels, None)?;
                all.clear();
            }
            Values::Flag(all) => {
                column.typed::<BoolType>().write_batch(all, levels, None)?;
                all.clear();
            }
            Values::Whole(all) | Values::Instant(all) => {
                column.typed::<Int64Type>().write_batch(all, levels, None)?;
                all.clear();
            }
        }
        column.close()?;
        self.levels.clear();
        Ok(())
    }
}

/// Most rows of a group.
const GROUP_ROWS: usize = 65_536;
/// A group ends with so much text: what waits is about three times as much.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Digits of a decimal, the most that readers have exactly.
const DIGITS: i32 = 38;
/// Those behind the point: pico-dollars.
const DECIMALS: i32 = 12;
