/**
 * Brings a SQLite file to the newest schema: the files of `migrations/`, in the order of their numbers, forward only. A
 * released file is never edited; the next one is added.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

const FOLDER = new URL('./migrations/', import.meta.url)
const FILE = /^\d{4}_\w+\.sql$/

/** Their names, the first one of version 1. */
const listFiles = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => FILE.test(file))
    .sort()

/** The number of the newest schema that this program knows. */
export const newestSchema = (): number => listFiles().length

/** The number of the schema that a file has; 0 of a new one. */
export const schemaOf = (connection: DatabaseSync): number =>
  (connection.prepare('pragma user_version').get() as { user_version: number }).user_version

/** Runs what is missing, in one transaction. Throws when the file was written by a newer program. */
export function migrate(connection: DatabaseSync): void {
  const files = listFiles()
  connection.exec('begin immediate')
  const version = schemaOf(connection)
  if (version > files.length) {
    throw new Error(
      `the data folder was written by a newer wochat (schema ${version}, known ${files.length})`,
    )
  }
  for (const file of files.slice(version)) connection.exec(readFileSync(new URL(file, FOLDER), 'utf8'))
  connection.exec(`pragma user_version = ${files.length}`)
  connection.exec('commit')
}
