/** Any answer to the operator as tables and lines: how a value looks follows from its schema. */
import type { TSchema } from 'typebox'
import { ADMIN_OPERATIONS, type AdminName } from '../../../protocol/admin/operations.ts'
import { print, printTable } from '../command.ts'
import { escapeText, formatTime } from '../format.ts'
import { isTime } from '../values.ts'

/** Wider values break the rows of a table on a terminal. */
const CELL_CHARS_MAX = 60

export async function printResult(name: AdminName, result: object): Promise<void> {
  for (const line of formatResult(ADMIN_OPERATIONS[name].result, result)) {
    await (typeof line === 'string' ? print(line) : printTable(line.header, line.rows))
  }
}

type Table = { header: string[]; rows: string[][] }

/** The lists first, as tables, then what is said of the whole, a line each with what it means. */
export function formatResult(schema: TSchema, result: object): (string | Table)[] {
  const fields = Object.entries(result).filter(([name]) => name !== 'away')
  const lists = fields.filter((field): field is [string, object[]] => isListOfRows(field[1]))
  const tables = lists.map(([name, rows]) =>
    rows.length === 0 ? `${name}: none` : buildTable(itemsOf(propertyOf(schema, name)), rows),
  )
  const facts = fields
    // That there is no more is nothing to say.
    .filter(([name, value]) => !isListOfRows(value) && !(name === 'more' && value === false))
    .map(([name, value]) => {
      const field = propertyOf(schema, name)
      const meaning = lists.length === 0 ? '' : descriptionOf(field)
      return escapeText(`${name}: ${formatValue(field, value)}${meaning === '' ? '' : ` (${meaning})`}`)
    })
  const isShort = tables.some((table) => typeof table !== 'string' && table.isShort)
  return [...tables, ...facts, ...(isShort ? ['… is shortened: --json prints all'] : [])]
}

function buildTable(row: TSchema | undefined, rows: readonly object[]): Table & { isShort: boolean } {
  const header = [...new Set(rows.flatMap((values) => Object.keys(values)))]
  const full = rows.map((values) => {
    const byName = new Map<string, unknown>(Object.entries(values))
    return header.map((name) => formatValue(propertyOf(row, name), byName.get(name)))
  })
  const isShort = full.flat().some((cell) => cell.length > CELL_CHARS_MAX)
  return { header, rows: full.map((cells) => cells.map(shorten)), isShort }
}

function shorten(cell: string): string {
  return cell.length <= CELL_CHARS_MAX ? cell : `${cell.slice(0, CELL_CHARS_MAX - 1)}…`
}

function formatValue(schema: TSchema | undefined, value: unknown): string {
  if (value === undefined || value === null) return '-'
  if (typeof value === 'number' && schema !== undefined && isTime(schema)) return formatTime(value)
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(', ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function isListOfRows(value: unknown): value is object[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null)
}

function propertyOf(schema: TSchema | undefined, name: string): TSchema | undefined {
  const { properties = {} } = (schema ?? {}) as { properties?: Record<string, TSchema> }
  return Object.hasOwn(properties, name) ? properties[name] : undefined
}

function itemsOf(schema: TSchema | undefined): TSchema | undefined {
  return (schema as { items?: TSchema } | undefined)?.items
}

function descriptionOf(schema: TSchema | undefined): string {
  return (schema as { description?: string } | undefined)?.description ?? ''
}
