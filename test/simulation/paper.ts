/** The generated tables of docs/scaling.md: each stands between `<!-- table NAME -->` and `<!-- end -->`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ASSUMPTIONS, COSTS, renderCapacities, renderInputs } from './capacity.ts'
import { renderGrowth, renderOffline, renderWorkers, simulateAll } from './doorbells.ts'

const PAPER = new URL('../../docs/scaling.md', import.meta.url)
const TABLE = /(<!-- table ([a-z]+) -->\n)[\s\S]*?(<!-- end -->)/g

function renderTables(): ReadonlyMap<string, string> {
  const { growth, offline, workers } = simulateAll()
  return new Map([
    ['growth', renderGrowth(growth)],
    ['offline', renderOffline(offline)],
    ['workers', renderWorkers(workers)],
    ['costs', renderInputs(COSTS)],
    ['assumptions', renderInputs(ASSUMPTIONS)],
    ['capacity', renderCapacities()],
  ])
}

export function readPaper(): string {
  return readFileSync(PAPER, 'utf8')
}

/** The paper with its tables as they are computed now. */
export function fillPaper(text: string): string {
  const tables = renderTables()
  return text.replace(TABLE, (_, begin: string, name: string, end: string) => {
    const table = tables.get(name)
    if (table === undefined) throw new Error(`docs/scaling.md has a table "${name}" that nothing computes`)
    return `${begin}${table}\n${end}`
  })
}

export function writeTables(): void {
  writeFileSync(PAPER, fillPaper(readPaper()))
}
