/**
 * Brings a database to the newest schema: the files of `migrations/`, in the order of their numbers, forward only.
 * A released file is never edited; the next one is added.
 */
import { readdir, readFile } from 'node:fs/promises'
import type { Client } from 'pg'

const FOLDER = new URL('./migrations/', import.meta.url)
const FILE = /^(\d{4})_\w+\.sql$/
/** Key of the advisory lock under which one process migrates and the others wait: "wochat" in ASCII. */
const LOCK = 0x776f63686174

type Migration = { version: number; file: string; sql: string }

async function readMigrations(): Promise<Migration[]> {
  const files = (await readdir(FOLDER)).filter((file) => FILE.test(file)).sort()
  return await Promise.all(
    files.map(async (file) => ({
      version: Number(FILE.exec(file)![1]),
      file,
      sql: await readFile(new URL(file, FOLDER), 'utf8'),
    })),
  )
}

/** The number of the newest schema that this program knows. */
export async function newestSchema(): Promise<number> {
  return (await readMigrations()).at(-1)?.version ?? 0
}

/**
 * Runs what is missing, each file in one transaction with the note of its version. Any number of processes may start
 * at once. Rejects when the database was migrated by a newer program, or a file fails.
 */
export async function migrate(client: Client): Promise<void> {
  const migrations = await readMigrations()
  await client.query(`select pg_advisory_lock(${LOCK})`)
  try {
    await client.query(
      'create table if not exists migration (version integer primary key, file text not null, at timestamptz not null)',
    )
    const { rows } = await client.query<{ version: number }>('select version from migration')
    const done = new Set(rows.map((row) => Number(row.version)))
    const newest = Math.max(0, ...done)
    const known = migrations.at(-1)?.version ?? 0
    if (newest > known) {
      throw new Error(`the database was written by a newer wochat (schema ${newest}, known ${known})`)
    }
    for (const migration of migrations) if (!done.has(migration.version)) await run(client, migration)
  } finally {
    await client.query(`select pg_advisory_unlock(${LOCK})`)
  }
}

async function run(client: Client, { version, file, sql }: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query(sql)
    await client.query('insert into migration (version, file, at) values ($1, $2, now())', [version, file])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw new Error(`migration ${file} failed: ${(error as Error).message}`, { cause: error })
  }
}
