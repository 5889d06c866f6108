/** `wochat migrate`: moves a stopped single-node installation into the PostgreSQL of a cluster. docs/migrating.md guides. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Config, ConfigError } from './config.ts'

type MigrateOptions = { dataDir?: string; databaseUrl?: string; batchRows?: number }

/** A table that is being copied says how far it is, at most this often. */
const PROGRESS_EVERY_MS = 1000

export function registerMigrate(program: Command, config: () => Config): void {
  program
    .command('migrate')
    .description('move the data folder of a stopped server into an empty PostgreSQL database')
    .addOption(new Option('--from <store>', 'what to move').choices(['sqlite']).makeOptionMandatory())
    .addOption(new Option('--to <store>', 'where to').choices(['postgres']).makeOptionMandatory())
    .option('--data-dir <folder>', 'data folder of the stopped server; default: dataDir of the configuration')
    .option('--database-url <url>', 'the database; default: databaseUrl of the configuration')
    .option('--batch-rows <count>', 'rows of one transaction', parseCount)
    .action((options: MigrateOptions) => run(config(), options))
}

async function run(config: Config, options: MigrateOptions): Promise<void> {
  const databaseUrl = options.databaseUrl ?? config.databaseUrl?.reveal()
  if (databaseUrl === undefined) throw new ConfigError('migrate: give --database-url, or databaseUrl')
  // The other commands are quick because they do not load the stores.
  const { BATCH_ROWS_DEFAULT, moveStore } = await import('./services/store/migrate/move.ts')
  const { MoveError } = await import('./services/store/migrate/move-error.ts')
  const dataDir = options.dataDir ?? config.dataDir
  try {
    const { rows, logs, differences } = await moveStore({
      dataDir,
      databaseUrl,
      batchRows: options.batchRows ?? BATCH_ROWS_DEFAULT,
      onProgress: createPrinter(),
    })
    if (differences.length === 0) {
      console.log(`moved and compared: ${rows} rows, ${logs} logs without a gap`)
      return
    }
    for (const difference of differences) console.error(`differs: ${difference}`)
    console.error('wochat: the database is not what the data folder is; do not start a server on it')
  } catch (error) {
    if (!(error instanceof MoveError)) throw error
    console.error(`wochat: ${error.message}`)
  }
  process.exitCode = 1
}

/** Prints a line per table and step, and how far a large one is. */
function createPrinter(): (step: import('./services/store/migrate/move.ts').MoveStep) => void {
  let printedAt = Number.NEGATIVE_INFINITY
  return (step) => {
    if (step.step === 'compared') {
      const isSame = step.source.sum === step.target.sum && step.source.rows === step.target.rows
      console.log(
        `compared ${step.table}: ${step.target.rows} rows, ${step.target.sum}, ${isSame ? 'same' : 'DIFFERS'}`,
      )
      return
    }
    if (step.step === 'resumed') {
      console.log(`resumed ${step.table}: ${step.rows} of ${step.of} are there`)
      return
    }
    const isWhole = step.rows === step.of
    if (!isWhole && performance.now() - printedAt < PROGRESS_EVERY_MS) return
    printedAt = performance.now()
    console.log(`copied ${step.table}: ${step.rows} of ${step.of}`)
  }
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('not a number above 0')
  return count
}
