/** The program: `wochat serve` and the operator's commands here, the client's commands in `clients/cli`. */
import { Command } from 'commander'
import { register } from './clients/cli/register.ts'
import { HTTP_PORT } from './clients/cli/session.ts'
import { suggestCommands } from './clients/cli/suggest.ts'
import { type Config, ConfigError, describeConfig, loadConfig } from './config.ts'
import { registerMigrate } from './migrate.ts'
import type { RunningServer } from './serve/endpoints.ts'
import { KeyringError } from './services/auth/keyring.ts'
import { diagnose, FINDING_MARKS } from './services/doctor/doctor.ts'
import { databasePlace, redisPlace } from './services/store-places.ts'
import { printTokens } from './token.ts'
import { VERSION } from './version.ts'

const program = new Command('wochat')
  .description('An open messaging backend that speaks MQTT.')
  .version(VERSION)
  .option('--config <file>', 'configuration file (JSON)')

const config = (flags: Record<string, string> = {}) =>
  loadConfig({ env: { ...process.env, ...flags }, file: program.opts<{ config?: string }>().config })

program
  .command('serve')
  .description('run the server')
  .option('--roles <list>', 'what this node does, of broker,api,fanout,push; as WOCHAT_ROLES')
  .option('--workers <count>', 'broker processes behind the same ports, as WOCHAT_WORKERS')
  .action(serve)

program
  .command('config')
  .description('print every setting with its value and where it is from')
  .option('--json', 'as JSON')
  .action(({ json }: { json?: boolean }) => {
    const rows = describeConfig(config())
    if (json) console.log(JSON.stringify(rows, null, 2))
    else for (const row of rows) console.log(configLine(row))
  })

program
  .command('doctor')
  .description('check ports, store, keys and clock')
  .action(async () => {
    const findings = await diagnose(config())
    for (const { level, what } of findings) console.log(`${FINDING_MARKS[level]} ${what}`)
    if (findings.some(({ level }) => level === 'fail')) process.exitCode = 1
  })

program
  .command('token')
  .description('print an access token, where the signing key is; for testers')
  .argument('[uid]')
  .option('--device <id>', 'bind the token to a device')
  .option('--ttl <duration>', 'life of the token, e.g. 1h', '1h')
  .option('--acl <json>', 'application topics: {"pub": [filters], "sub": [filters]}')
  .option('--batch <file>', 'a token for each line "uid deviceId" of a file')
  .action(
    (uid: string | undefined, options: { device?: string; ttl: string; acl?: string; batch?: string }) =>
      printTokens(config(), uid, options),
  )

registerMigrate(program, config)
register(program)
suggestCommands(program)

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof KeyringError)) throw error
  console.error(`wochat: ${error.message}`)
  process.exitCode = 1
}

async function serve({ roles, workers }: { roles?: string; workers?: string }): Promise<void> {
  const settings = config({
    ...(roles !== undefined && { WOCHAT_ROLES: roles }),
    ...(workers !== undefined && { WOCHAT_WORKERS: workers }),
  })
  // The other commands are quick because they do not load the server.
  const { startServer } = await import('./serve/server.ts')
  const server = await startServer(settings, (error) => {
    // A disk that failed a write must not be asked again; what was acknowledged is on it.
    console.error(`wochat: the store failed and the process stops: ${error.message}`)
    process.exit(1)
  })
  console.log(banner(server.endpoints, placesOf(settings), settings.sms))
  if (settings.gcOnSigusr2) process.on('SIGUSR2', () => globalThis.gc?.())
  const stop = (): void => {
    setTimeout(() => {
      console.error(`wochat: not stopped within ${settings.stopTimeoutMs} ms (stopTimeoutMs), ending anyway`)
      process.exit(1)
    }, settings.readyDelayMs + settings.stopTimeoutMs).unref()
    Promise.resolve(server[Symbol.asyncDispose]()).catch((error: unknown) => {
      console.error('wochat: stopping failed', error)
      process.exitCode = 1
    })
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

/** Where the data is: a line for a folder, or two for the stores of a cluster. */
function placesOf({ dataDir, databaseUrl, redisUrl }: Config): string {
  if (databaseUrl === null || redisUrl === null) return `data       ${dataDir}`
  return `PostgreSQL ${databasePlace(databaseUrl.reveal())}
  Redis      ${redisPlace(redisUrl.reveal())}`
}

function banner(at: RunningServer['endpoints'], places: string, sms: string): string {
  return `wochat ${VERSION}
  MQTT       ${at.mqtt}${at.mqtts === null ? '' : `   ${at.mqtts}`}
  WebSocket  ${at.ws}
  HTTP       ${at.http}
  admin      ${at.admin}   (/metrics, /readyz)
  ${places}
Log in:  npx wochat login +8613800000001${urlOption(at.http)}   (${sms === 'console' ? 'the code is printed here' : 'the code comes by SMS'})
Or print a token for a tester:  npx wochat token alice --device cli`
}

/** What the command line must be told: nothing of a server that is where it looks by itself. */
function urlOption(http: string): string {
  const [, scheme, port] = /^(https?):.*:(\d+)$/.exec(http) ?? []
  // A node without the role has no HTTP at all.
  if (port === undefined) return ''
  return scheme === 'http' && Number(port) === HTTP_PORT ? '' : ` --url ${scheme}://localhost:${port}`
}

function configLine({
  name,
  env,
  value,
  source,
  about,
  unit,
  default: initial,
}: ReturnType<typeof describeConfig>[number]): string {
  const from = source === 'default' ? 'default' : `${source}; default ${initial === '' ? 'none' : initial}`
  // Durations and sizes say their unit themselves.
  const shown = value === '' ? 'none' : /^\d+$/.test(value) && unit !== '' ? `${value} ${unit}` : value
  return `${name} = ${shown} (${from})\n    ${env}: ${about}`
}
