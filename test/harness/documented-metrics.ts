/** The metrics that the operator's guide has in its tables, by what shows them. */
import { readFileSync } from 'node:fs'
import { REPO } from './server-process.ts'

const CHAPTER = /^## Health and metrics$(.*?)^## /ms
/** One table for each: its name is in the last line before it. */
const TABLES = {
  ofEveryProcess: 'Every process',
  ofCluster: 'A node of a cluster',
  ofWorkers: 'A server with',
}

type Shown = keyof typeof TABLES

/** Names without labels, sorted; of a histogram its own name. */
export function documentedMetrics(...shown: Shown[]): string[] {
  const chapter = CHAPTER.exec(readFileSync(`${REPO}docs/operating.md`, 'utf8'))?.[1] ?? ''
  const names = shown.flatMap((name) => namesIn(chapter.split(`\n${TABLES[name]} `)[1] ?? ''))
  return names.toSorted()
}

/** Of the first column of the table that a text begins with. */
function namesIn(text: string): string[] {
  const table = /(?:^\|.*\n)+/m.exec(text)?.[0] ?? ''
  const cells = table.split('\n').map((row) => row.split('|')[1] ?? '')
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map((match) => match[1]!))
}
