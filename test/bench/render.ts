import { type Line, linesOf, type Report, type Run } from './report.ts'

const REASON_MAX = 300

type Column = [title: string, cellOf: (line: Line) => string]

const COLUMNS: Column[] = [
  ['row', (line) => line.row],
  ['figure', (line) => line.metric],
  ['target', (line) => line.target],
  ['wochat', (line) => line.wochat],
  ['', (line) => line.verdict],
  ['Aedes', (line) => line.peers.aedes ?? ''],
  ['Mosquitto', (line) => line.peers.mosquitto ?? ''],
  ['Aedes, Redis', (line) => line.peers['aedes-redis'] ?? ''],
  ['Aedes nodes, Redis', (line) => line.peers['aedes-redis-nodes'] ?? ''],
  ['to Aedes', (line) => line.toAedes],
  ['generator CPU', (line) => line.generatorCpu],
  ['other generator', (line) => line.crossCheck],
]

/** Aligned columns for a terminal, columns that are empty throughout left out. */
export function renderText(report: Report): string {
  const lines = linesOf(report)
  const columns = usedColumns(lines)
  const rows = [
    columns.map(([title]) => title),
    ...lines.map((line) => columns.map(([, cellOf]) => cellOf(line))),
  ]
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)))
  const table = rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index]!))
      .join('  ')
      .trimEnd(),
  )
  return [headerOf(report), '', ...table, ...failuresOf(report), ''].join('\n')
}

export function renderMarkdown(report: Report): string {
  const lines = linesOf(report)
  const columns: Column[] = [...usedColumns(lines)]
  columns.splice(1, 0, ['workload', (line) => line.title])
  const row = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [
    headerOf(report),
    '',
    row(columns.map(([title]) => title)),
    row(columns.map(() => '---')),
    ...lines.map((line) => row(columns.map(([, cellOf]) => cellOf(line)))),
    ...failuresOf(report),
    '',
  ].join('\n')
}

function usedColumns(lines: readonly Line[]): Column[] {
  return COLUMNS.filter(([, cellOf]) => lines.some((line) => cellOf(line) !== ''))
}

function headerOf({ machine, commit, startedAt, runs, seconds, command, pinned }: Report): string {
  const cores =
    pinned.brokerCore === null || pinned.generatorCore === null
      ? 'not pinned'
      : `broker on core ${pinned.brokerCore}, generator on core ${pinned.generatorCore}`
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.kernel}, Node ${machine.node}; ${cores}.`,
    `Commit ${commit}, ${startedAt}; median (range) of ${runs} runs of ${seconds} s on fresh processes and data: \`${command}\``,
  ].join('\n')
}

function failuresOf(report: Report): string[] {
  const failures = report.rows.flatMap(({ id, contenders }) =>
    contenders.flatMap(({ broker, generator, runs }) =>
      runs.flatMap((run, index) =>
        run.ok
          ? []
          : [
              `- ${id}, ${broker}${generator === 'c' ? ' (other generator)' : ''}, run ${index + 1}: ${reasonOf(run)}`,
            ],
      ),
    ),
  )
  return failures.length === 0 ? [] : ['', 'Runs that do not count:', ...failures]
}

function reasonOf(run: Run): string {
  const reason = run.problems.join('; ').replaceAll(/\s+/g, ' ')
  return reason.length > REASON_MAX ? `${reason.slice(0, REASON_MAX)} ...` : reason
}
