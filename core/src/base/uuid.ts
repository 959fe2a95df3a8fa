/** UUID version 7 (RFC 9562): 48 bits of milliseconds, then a counter, then random bits. */

/** The last millisecond that 48 bits can name, in the year 10889. */
const msMax = 2 ** 48 - 1

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/**
 * Makes a generator of UUIDv7 strings in which each one is greater than the one before, also within a millisecond
 * (RFC 9562 section 6.2, method 1: the 12 bits after the version are a counter that starts at a random value).
 *
 * @param now - Milliseconds since 1970. When it stands still or goes back, the last value is used; when the counter is
 *   used up within a millisecond, the ids go ahead of the clock by one more.
 * @param random32 - A random integer in [0, 2^32).
 */
export function uuidV7Generator(now: () => number, random32: () => number): () => string {
  let lastMs = 0
  let counter = 0
  const text12 = (ms: number) => {
    const text = ms.toString(16).padStart(12, '0')
    return `${text.slice(0, 8)}-${text.slice(8)}-7`
  }
  let prefix = text12(0)
  return () => {
    const ms = Math.min(Math.floor(now()), msMax)
    if (ms > lastMs) {
      lastMs = ms
      counter = random32() & 0x7ff
      prefix = text12(ms)
    } else if (++counter > 0xfff) {
      lastMs += 1
      counter = 0
      prefix = text12(lastMs)
    }
    const a = random32()
    const b = random32()
    const third = hex[counter >>> 8]!.slice(1) + hex[counter & 0xff]
    return (
      `${prefix}${third}-${hex[0x80 | ((a >>> 24) & 0x3f)]}${hex[(a >>> 16) & 0xff]}-` +
      `${hex[(a >>> 8) & 0xff]}${hex[a & 0xff]}${hex[b >>> 24]}${hex[(b >>> 16) & 0xff]}${hex[(b >>> 8) & 0xff]}${hex[b & 0xff]}`
    )
  }
}
