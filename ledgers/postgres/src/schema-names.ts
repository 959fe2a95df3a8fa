/** How a ledger's tables, functions and locks are named in its database. */
import { createHash } from 'node:crypto'
import { QuadrilleError } from 'quadrille'

/** Room for the lock spaces of one ledger, told apart by the first number of an advisory lock of two numbers. */
export interface LockSpaces {
  /** Held, shared, by transactions that append; the second number says behind which position. */
  readonly gate: number
  /** Held while leases of a reader are dealt out; the second number is a hash of its name. */
  readonly leases: number
  /** Held, shared, by transactions that work under leases; the second number is a hash of their owner. */
  readonly owners: number
  /** Held, shared, by every transaction that had begun; the second number is its own. See ./commit-outcome.ts. */
  readonly outcomes: number
  /** Held by the one that migrates (0), or trims (1). */
  readonly chores: number
}

/** What belongs to one schema. */
export interface SchemaNames {
  /** As given. */
  readonly schema: string
  /** Quoted, to stand in SQL. */
  readonly quoted: string
  /** A name in the schema as a text literal of SQL. */
  readonly literal: (name: string) => string
  /** Listened to for wake-ups. */
  readonly channel: string
  readonly locks: LockSpaces
}

/** The longest name that PostgreSQL keeps whole. */
const nameBytesMax = 63

/** A signed number of 32 bits that hardly anything else uses. */
const numberOf = (text: string): number => createHash('sha256').update(text).digest().readInt32BE(0)

/** Quotes a name for SQL. */
const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * @throws QuadrilleError `OPTION_INVALID` for a name that PostgreSQL would cut or refuse, or that would end the text of a
 *   function.
 */
export function schemaNames(schema: string): SchemaNames {
  const bytes = Buffer.byteLength(schema)
  if (bytes === 0 || bytes > nameBytesMax || /\0|\$\$|^pg_/.test(schema))
    throw new QuadrilleError('OPTION_INVALID', {
      option: 'schema',
      value: JSON.stringify(schema),
      expected: `a name of 1 to ${nameBytesMax} bytes that does not begin with pg_ and has no $$ in it`,
    })
  const space = (use: string) => numberOf(`quadrille ${use} ${schema}`)
  return {
    schema,
    quoted: quoteName(schema),
    literal: (name) => `'${quoteName(schema).replaceAll("'", "''")}.${name}'`,
    channel: `quadrille_${createHash('sha256').update(schema).digest('hex').slice(0, 16)}`,
    locks: {
      gate: space('gate'),
      leases: space('leases'),
      owners: space('owners'),
      outcomes: space('outcomes'),
      chores: space('chores'),
    },
  }
}
