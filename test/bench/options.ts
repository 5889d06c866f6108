import { parseArgs } from 'node:util'
import { BROKER_NAMES, type BrokerName, OUR_BROKERS } from './broker.ts'
import type { Row } from './row.ts'
import { ROWS } from './rows.ts'

export interface BenchOptions {
  rows: Row[]
  brokers: BrokerName[]
  runs: number
  seconds: number
  out: string
  markdown: boolean
  from: string | undefined
  cLoadgen: string | undefined
  folder: string | undefined
  brokerCore: number | undefined
  generatorCore: number | undefined
  quietSeconds: number
  workers: number
}

const PEERS = BROKER_NAMES.filter((name) => !OUR_BROKERS.includes(name))

export const HELP = `usage: npm run bench [-- --name value ...]

  --rows S1,S2a         rows to run [all: ${ROWS.map(({ id }) => id).join(',')}]
  --peers aedes,...     brokers to run next to wochat [${PEERS.join()}]; "none" for none
  --no-wochat           only the peers
  --runs 3              runs of each row on each broker; the median counts
  --seconds 5           measured seconds of each run
  --out FILE            the whole report as JSON [data/bench.json]
  --markdown            print the table as Markdown
  --from FILE           run nothing, print the table of this report
  --c-loadgen PATH      run S1, S2a and S2b once more with this generator (key=value parameters)
  --folder PATH         where data folders are made; must be on a disk, not in memory [the system's]
  --broker-core 0       core of the broker, --generator-core 1 that of the generator; -1 leaves them unpinned
  --workers 1           processes of wochat; with more, --broker-core -1 lets them have all cores
  --quiet-seconds 20    before each run, wait at most so long for others to leave the machine alone
`

/** @throws Error naming the option that is unknown or malformed. */
export function parseBenchOptions(argv: string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: argv,
    allowNegative: true,
    options: {
      rows: { type: 'string' },
      peers: { type: 'string', default: PEERS.join() },
      wochat: { type: 'boolean', default: true },
      runs: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      out: { type: 'string', default: 'data/bench.json' },
      markdown: { type: 'boolean', default: false },
      from: { type: 'string' },
      'c-loadgen': { type: 'string' },
      folder: { type: 'string' },
      'broker-core': { type: 'string', default: '0' },
      'generator-core': { type: 'string', default: '1' },
      'quiet-seconds': { type: 'string', default: '20' },
      workers: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  return {
    rows: values.rows === undefined ? [...ROWS] : values.rows.split(',').map(findRow),
    brokers: [...(values.wochat ? OUR_BROKERS : []), ...parsePeers(values.peers)],
    runs: parseNumber('runs', values.runs, 1),
    seconds: parseNumber('seconds', values.seconds, 0.1),
    out: values.out,
    markdown: values.markdown,
    from: values.from,
    cLoadgen: values['c-loadgen'],
    folder: values.folder,
    brokerCore: parseCore('broker-core', values['broker-core']),
    generatorCore: parseCore('generator-core', values['generator-core']),
    quietSeconds: parseNumber('quiet-seconds', values['quiet-seconds'], 0),
    workers: parseNumber('workers', values.workers, 1),
  }
}

function findRow(id: string): Row {
  const row = ROWS.find((row) => row.id === id)
  if (row === undefined) throw new Error(`--rows ${id}: of ${ROWS.map(({ id }) => id).join(', ')}`)
  return row
}

function parsePeers(list: string): BrokerName[] {
  if (list === 'none') return []
  return list.split(',').map((name) => {
    const broker = PEERS.find((known) => known === name)
    if (broker === undefined) throw new Error(`--peers ${name}: of ${PEERS.join()}`)
    return broker
  })
}

function parseNumber(name: string, text: string, min: number): number {
  const value = Number(text)
  if (!(value >= min)) throw new Error(`--${name} ${text}: a number of at least ${min} expected`)
  return value
}

function parseCore(name: string, text: string): number | undefined {
  const core = parseNumber(name, text, -1)
  return core < 0 ? undefined : core
}
