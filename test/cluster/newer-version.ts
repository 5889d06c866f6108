/**
 * A later version of this program in a temporary folder: the same sources with a later number, migrations that this
 * version does not know, and a kind of frame on the bus that it does not know either.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REPO } from '../harness/server.ts'

export const NEWER_VERSION = '99.0.0'

const SOURCES = [
  'broker',
  'clients',
  'config',
  'protocol',
  'serve',
  'services',
  'config.ts',
  'main.ts',
  'migrate.ts',
  'package.json',
  'program.ts',
  'token.ts',
  'version.ts',
]
const MIGRATIONS = 'services/store/postgres/migrations'

type NewerVersion = Disposable & {
  /** Folder of the program. */
  readonly program: string
  /** Number of its newest migration. */
  readonly schema: number
}

export function makeNewerVersion(): NewerVersion {
  const program = mkdtempSync(join(tmpdir(), 'wochat-newer-'))
  for (const name of SOURCES) cpSync(join(REPO, name), join(program, name), { recursive: true })
  symlinkSync(join(REPO, 'node_modules'), join(program, 'node_modules'))
  change(join(program, 'package.json'), /"version": "[^"]+"/, `"version": "${NEWER_VERSION}"`)
  // Every batch of doorbells begins with a frame of kind 250.
  change(
    join(program, 'broker/cluster/redis/doorbell-batches.ts'),
    /(target\.numberAt = beginBatch\([^\n]*\n)/,
    '$1addFrame(target.writer, Buffer.from([250, 1, 2, 3]), 0, 4)\n',
  )
  return {
    program,
    schema: addMigrations(join(program, MIGRATIONS)),
    [Symbol.dispose]: () => rmSync(program, { recursive: true, force: true }),
  }
}

function change(file: string, what: RegExp, by: string): void {
  const text = readFileSync(file, 'utf8')
  const changed = text.replace(what, by)
  if (changed === text) throw new Error(`${file} has nothing like ${what}`)
  writeFileSync(file, changed)
}

/**
 * Every table gets one more column: statements that nodes of this version have prepared go on. A file for each table, so
 * that none waits for the lock of one table while it holds that of another.
 */
function addMigrations(folder: string): number {
  const files = readdirSync(folder).sort()
  const tables = files.flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/^create table (\w+)/gm)].map((match) => match[1]!),
  )
  if (tables.length === 0) throw new Error(`${folder} makes no tables`)
  let version = Number(files.at(-1)!.slice(0, 4))
  for (const table of tables) {
    version++
    writeFileSync(
      join(folder, `${String(version).padStart(4, '0')}_${table}_added.sql`),
      `alter table ${table} add column added_later text;\n`,
    )
  }
  return version
}
