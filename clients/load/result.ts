/** The result of a run, as figures and as a table. */
import type { Mode } from './options.ts'

/** What a mode reports: plain figures, nested one level at most, in the order in which they are to be read. */
export interface Result {
  mode: Mode
  label: string
  ok: boolean
  problems: string[]
  [figure: string]: unknown
}

export function rounded(value: number, digits = 0): number {
  return Math.round(value * 10 ** digits) / 10 ** digits
}

/** The result as aligned lines for people. */
export function renderTable(result: Result): string {
  const rows = Object.entries(result).map(([name, value]): [string, string] => [name, renderValue(value)])
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name.padEnd(width)}  ${value}\n`)
    .join('')
}

function renderValue(value: unknown): string {
  if (Array.isArray(value)) return value.join('; ')
  if (typeof value === 'number') return value.toLocaleString('en-US', { maximumFractionDigits: 3 })
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, part]) => `${name} ${renderValue(part)}`)
    .join('  ')
}
