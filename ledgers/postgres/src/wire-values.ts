/**
 * Values on their way to and from PostgreSQL. Arrays go in PostgreSQL's binary form: nothing is escaped, and neither side
 * has to parse text. Everything else goes, and everything comes back, as text.
 */

/** What a statement takes as a parameter. */
export type WireValue = string | number | boolean | Buffer | null

/** One field of a row as it comes: text, or null. */
export type Field = string | null

/** Object ids of element types (pg_type.dat); they never change. */
const oid = { int8: 20, int4: 23, text: 25, float8: 701 } as const

const headerBytes = 20

function arrayBuffer(elementOid: number, count: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(headerBytes + bytes)
  buffer.writeInt32BE(1, 0)
  // The flag says that there may be nulls; it need not be exact.
  buffer.writeInt32BE(1, 4)
  buffer.writeInt32BE(elementOid, 8)
  buffer.writeInt32BE(count, 12)
  buffer.writeInt32BE(1, 16)
  return buffer
}

/** What a UTF-16 unit takes in UTF-8, at most. */
const bytesPerUnit = 3

/** A `text[]`. Written in one pass, into more room than it may need; what equals the value before it, as in most columns, is copied. */
export function textArray(values: readonly (string | null)[]): Buffer {
  let units = 0
  for (const value of values) units += value === null ? 0 : value.length
  const buffer = arrayBuffer(oid.text, values.length, values.length * 4 + units * bytesPerUnit)
  let [from, at] = [headerBytes, headerBytes]
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (i > 0 && value === values[i - 1]) {
      buffer.copyWithin(at, from, at)
      ;[from, at] = [at, at + at - from]
      continue
    }
    const written = value === null ? 0 : buffer.write(value, at + 4)
    buffer.writeInt32BE(value === null ? -1 : written, at)
    from = at
    at += 4 + written
  }
  return buffer.subarray(0, at)
}

/** A `float8[]`: exact for whole numbers up to 2^53, as JavaScript has them. */
export function floatArray(values: readonly (number | null)[]): Buffer {
  const nulls = values.reduce<number>((count, value) => count + (value === null ? 1 : 0), 0)
  const buffer = arrayBuffer(oid.float8, values.length, values.length * 12 - nulls * 8)
  let at = headerBytes
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    buffer.writeInt32BE(value === null ? -1 : 8, at)
    at += 4
    if (value === null) continue
    buffer.writeDoubleBE(value, at)
    at += 8
  }
  return buffer
}

/** An `int4[]`. */
export function intArray(values: readonly number[]): Buffer {
  const buffer = arrayBuffer(oid.int4, values.length, values.length * 8)
  values.forEach((value, index) => {
    buffer.writeInt32BE(4, headerBytes + index * 8)
    buffer.writeInt32BE(value, headerBytes + index * 8 + 4)
  })
  return buffer
}

/** An `int8[]` of whole numbers from 0 up to 2^53. */
export function positionArray(values: readonly number[]): Buffer {
  const buffer = arrayBuffer(oid.int8, values.length, values.length * 12)
  values.forEach((value, index) => {
    const at = headerBytes + index * 12
    buffer.writeInt32BE(8, at)
    buffer.writeInt32BE(Math.floor(value / 2 ** 32), at + 4)
    buffer.writeUInt32BE(value % 2 ** 32, at + 8)
  })
  return buffer
}

/** What pg sends for a value: text, or bytes in binary form. */
export const wireForm = (value: WireValue): string | Buffer | null =>
  value === null || typeof value === 'string' || Buffer.isBuffer(value) ? value : String(value)

/** The numbers and nulls of an array in text form: `{1,NULL,3}`. */
export function numbersOf(field: Field): (number | null)[] {
  if (field === null || field === '{}') return []
  return field
    .slice(1, -1)
    .split(',')
    .map((part) => (part === 'NULL' ? null : Number(part)))
}

/** A number, or null. */
export const numberOf = (field: Field): number | null => (field === null ? null : Number(field))
