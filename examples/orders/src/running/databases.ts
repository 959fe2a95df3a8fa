/** The databases of services that have one each: beside each other, as files in one folder or on one PostgreSQL server. */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { serviceNames, type ServiceName } from './worker.ts'

export const isPostgres = (address: string): boolean => /^postgres(ql)?:/.test(address)

/** The database of a service that has one of its own, beside the one of the orders: `shop`, `shop_payments`, ... */
export function databaseOf(service: ServiceName, ordersDatabase: string): string {
  if (!isPostgres(ordersDatabase)) return join(dirname(ordersDatabase), `${service}.db`)
  if (service === 'orders') return ordersDatabase
  const url = new URL(ordersDatabase)
  url.pathname = `${url.pathname}_${service}`
  return url.href
}

/** Makes those that are missing. The database that is named must be there, and its user be allowed to make others. */
export async function makeDatabases(ordersDatabase: string): Promise<void> {
  const others = serviceNames.filter((service) => service !== 'orders')
  await eachOn(ordersDatabase, others.map((service) => databaseOf(service, ordersDatabase)), create) // prettier-ignore
}

/** Databases for one run, with a random name, on the server of a database that is there. */
export async function temporaryDatabases(url: string) {
  const orders = new URL(url)
  orders.pathname = `/shop_${randomBytes(5).toString('hex')}`
  const all = serviceNames.map((service) => databaseOf(service, orders.href))
  await eachOn(url, all, create)
  return {
    database: orders.href,
    remove: () => eachOn(url, all, (name) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

const create = (name: string): string => `CREATE DATABASE ${name}`
const existsAlready = '42P04'

async function eachOn(url: string, databases: readonly string[], statement: (name: string) => string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const database of databases) {
      const name = decodeURIComponent(new URL(database).pathname.slice(1))
      await client.query(statement(client.escapeIdentifier(name))).catch((error: unknown) => {
        if ((error as { code?: string }).code !== existsAlready) throw error
      })
    }
  } finally {
    await client.end()
  }
}
