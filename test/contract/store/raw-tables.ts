/** The tables of an engine as they are, past the store: for promises about what is kept. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { StoreEngine } from './engine.ts'

type RawRow = Readonly<Record<string, unknown>>

export interface RawTables extends AsyncDisposable {
  /** Names of the tables, without those that an engine keeps for itself. */
  names(): Promise<string[]>
  /** Runs SQL without parameters. */
  query(sql: string): Promise<RawRow[]>
}

export function openRawTables({ location }: StoreEngine): Promise<RawTables> {
  return location.startsWith('postgres') ? openPostgres(location) : openSqlite(location)
}

async function openSqlite(folder: string): Promise<RawTables> {
  const db = new DatabaseSync(join(folder, 'wochat.sqlite'))
  db.exec('pragma busy_timeout = 10000')
  const query = async (sql: string) => db.prepare(sql).all() as RawRow[]
  return {
    query,
    async names() {
      // The index of searches has no columns to read.
      const rows = await query(
        `select name from sqlite_master where type = 'table' and name not like 'sqlite_%'
           and name not like 'message_search%' order by name`,
      )
      return rows.map(({ name }) => String(name))
    },
    [Symbol.asyncDispose]: async () => db.close(),
  }
}

async function openPostgres(url: string): Promise<RawTables> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const query = async (sql: string) => (await client.query<Record<string, unknown>>(sql)).rows
  return {
    query,
    async names() {
      const rows = await query(
        `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
      )
      return rows.map(({ name }) => String(name))
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}
