/** The options of the command line, with their bounds, and what `--help` says of them. */
import { parseArgs } from 'node:util'

const MODES = {
  flow: 'groups x (publishers -> subscribers), closed loop (--window) or open loop (--rate)',
  latency: 'flow in open loop, 1000 messages/s unless --rate says otherwise',
  storm:
    '--devices connect and subscribe as fast as the server lets them; connects/s and memory per connection',
  offline: '--devices go away, get --messages each while away, and come back',
  failover:
    '--devices at --sub-ports get --rate messages/s; --kill ends their node, and they come back at --failover-ports',
} as const

export type Mode = keyof typeof MODES

export const PHASES = ['prepare', 'enqueue', 'drain', 'remove'] as const
export type Phase = (typeof PHASES)[number]

interface TextOption {
  kind: 'text'
  value: string
  help: string
}
interface NumberOption {
  kind: 'number'
  value: number
  min: number
  max: number
  whole: boolean
  help: string
}
interface FlagOption {
  kind: 'flag'
  value: boolean
  help: string
}
type Option = TextOption | NumberOption | FlagOption

const text = (value: string, help: string): TextOption => ({ kind: 'text', value, help })
const whole = (value: number, min: number, max: number, help: string): NumberOption => ({
  kind: 'number',
  value,
  min,
  max,
  whole: true,
  help,
})
const seconds = (value: number, help: string): NumberOption => ({
  kind: 'number',
  value,
  min: 0,
  max: 86_400,
  whole: false,
  help,
})
const flag = (help: string): FlagOption => ({ kind: 'flag', value: false, help })

/** In the order of --help. A name `pubTopic` is the option `--pub-topic`. */
const OPTIONS = {
  host: text('127.0.0.1', 'address of the server'),
  port: whole(1883, 1, 65_535, 'its MQTT port'),
  subPorts: text('', 'ports of subscribers and devices in turn, comma separated, if not --port'),
  failoverPorts: text('', 'failover: ports that devices come back to, in turn'),
  v5: flag('speak MQTT 5 instead of 3.1.1 (keep --window within the server’s Receive Maximum)'),
  sources: whole(4, 1, 250, 'connect from so many addresses from 127.0.0.1 up (only to a 127.* host)'),
  connecting: whole(200, 1, 10_000, 'connections opened at the same time'),
  connectSeconds: seconds(120, 'give up if they are not all ready by then'),
  keepAlive: whole(600, 0, 65_535, 'keep alive of CONNECT in seconds; the generator sends no PINGREQ'),

  pubId: text('load/p{p}', 'client id of publishers (template)'),
  subId: text('load/s{s}', 'client id of subscribers and devices (template)'),
  pubUser: text('', 'username of publishers (template)'),
  subUser: text('', 'username of subscribers and devices (template)'),
  password: text('', 'password of everyone'),
  passwordsFile: text(
    '',
    'a password or JWT a line: publishers first, then subscribers; starts over at its end',
  ),
  pubTopic: text('load/{g}', 'topic published to (template)'),
  subTopic: text('load/{g}', 'filter subscribed to (template)'),
  payload: text('{mark}{fill}', 'payload (template): {mark} required, {id} unique, {t} target, {to}, {fill}'),
  targetsFile: text('', 'what {to} stands for: line t for target t'),
  bytes: whole(200, 1, 1_000_000, 'size of the payload, reached by {fill}'),
  pad: whole(6, 0, 12, 'digits of numbers in templates'),
  run: text('', 'four characters that tell this run’s messages from others; default: random'),

  qos: whole(1, 0, 1, 'of publishers and subscribers'),
  persistent: flag('subscribers and devices keep their session (clean session off)'),
  groups: whole(1, 1, 100_000, 'flow: number of groups'),
  pubs: whole(1, 1, 100_000, 'publishers: per group in flow, in all in offline and failover'),
  subs: whole(1, 0, 100_000, 'flow: subscribers per group; 0 sends to people who are away'),
  window: whole(20, 1, 65_535, 'closed loop: messages a publisher may have under way'),
  ackCredit: flag('a message leaves the window with its PUBACK, not only when also delivered to all'),
  rate: {
    ...seconds(0, 'open loop: messages/s of all publishers together; latency counts from the due time'),
    max: 10_000_000,
  },
  warmup: seconds(1, 'flow: not measured; failover: before the kill'),
  seconds: seconds(5, 'flow: measured'),
  drain: seconds(15, 'wait so long for what is under way (offline: with no progress)'),
  settle: seconds(0.3, 'wait so long for duplicates, and before memory is read'),
  devices: whole(1000, 1, 1_000_000, 'storm, offline, failover: number of devices'),
  staying: whole(0, 0, 1_000_000, 'failover: further devices, which are at --failover-ports all the time'),
  messages: whole(20, 1, 1_000_000, 'offline: messages for each device'),
  phases: text(
    'prepare,enqueue,drain',
    'offline: which of prepare, enqueue, drain, remove (parts need the same --run)',
  ),

  kill: whole(0, 0, 2 ** 31, 'failover: process id that gets SIGKILL after --warmup; 0: kill it yourself'),
  pids: text('', 'process ids of the server, comma separated: its CPU and memory'),
  parts: text('', 'name=pid, comma separated: CPU of parts of the server, each with its child processes'),
  gcSignal: text('', 'storm: signal that makes the first of --pids collect garbage, e.g. SIGUSR2'),
  label: text('', 'copied to the result'),
  quiet: flag('no table on standard error'),
  help: flag('this text'),
} as const satisfies Record<string, Option>

type ValueOf<O extends Option> = O extends { kind: 'text' }
  ? string
  : O extends { kind: 'number' }
    ? number
    : boolean
export type Options = { mode: Mode } & { [Name in keyof typeof OPTIONS]: ValueOf<(typeof OPTIONS)[Name]> }

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws UsageError naming the option that is unknown, malformed or out of bounds. */
export function parseOptions(argv: string[]): Options {
  const { values, positionals } = readArguments(argv)
  const options: Record<string, string | number | boolean> = {}
  for (const [name, option] of Object.entries<Option>(OPTIONS)) {
    options[name] = readValue(flagName(name), option, values[flagName(name)])
  }
  const mode = positionals[0] ?? ''
  if (!options.help && (positionals.length !== 1 || !Object.hasOwn(MODES, mode))) {
    throw new UsageError(`one mode expected: ${Object.keys(MODES).join(', ')}`)
  }
  return { ...options, mode } as Options
}

export function helpText(): string {
  const line = (left: string, right: string) => `  ${left.padEnd(24)} ${right}`
  const described = Object.entries<Option>(OPTIONS).map(([name, option]) => {
    const unset = option.kind === 'flag' || option.value === ''
    return line(`--${flagName(name)}`, unset ? option.help : `${option.help} [${option.value}]`)
  })
  return [
    'usage: node clients/load/load.ts MODE [--name value ...]',
    '',
    ...Object.entries(MODES).map(([mode, help]) => line(mode, help)),
    '',
    ...described,
    '',
    'Templates name numbers: {p} publisher, {s} subscriber or device, {g} group, {n} connection, {t} target (the group in',
    'flow, the device in offline); {s:3} pads to three digits. The result is one JSON object on standard output; the exit',
    'status is 0 only if nothing was lost, duplicated, out of order or delivered to the wrong receiver.',
    '',
  ].join('\n')
}

function readArguments(argv: string[]) {
  const options = Object.fromEntries(
    Object.entries<Option>(OPTIONS).map(([name, option]) => [
      flagName(name),
      { type: option.kind === 'flag' ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  try {
    return parseArgs({ args: argv, options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function readValue(name: string, option: Option, given: unknown): string | number | boolean {
  if (given === undefined) return option.value
  if (option.kind !== 'number') return given as string | boolean
  const value = Number(given)
  const fits = value >= option.min && value <= option.max && (!option.whole || Number.isInteger(value))
  if (!fits) throw new UsageError(`--${name} ${given}: a number from ${option.min} to ${option.max} expected`)
  return value
}

function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
