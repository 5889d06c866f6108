/**
 * The kinds of options: how a value of each is read from text or JSON, and how it is shown.
 *
 * `parse` takes what the environment (always text) or the file (any JSON) holds and throws a plain `Error` whose
 * message completes the sentence "NAME: ...". It never repeats the value of a secret.
 */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { Secret } from './secret.ts'

/** Where a value stands: relative paths start at `folder`. */
type ParseContext = { folder: string }

export type Option<Value> = {
  readonly type: string
  /** Of a number: `ms`, `s`, `bytes` ...; empty where there is none. */
  readonly unit: string
  readonly default: Value
  /** Allowed values, in words. */
  readonly range: string
  readonly about: string
  readonly parse: (raw: unknown, context: ParseContext) => Value
  readonly show: (value: Value) => string
}

const plain = (value: unknown): string => (value === null ? '' : String(value))

// ---------------------------------------------------------------- numbers

type Scale = ReadonlyMap<string, number>

const IN_MS: Scale = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])
const IN_SECONDS: Scale = new Map([...IN_MS].slice(1).map(([suffix, ms]) => [suffix, ms / 1000]))
const IN_BYTES: Scale = new Map([
  ['B', 1],
  ['KB', 1024],
  ['MB', 1024 ** 2],
  ['GB', 1024 ** 3],
])
const NO_SUFFIX: Scale = new Map()

const NUMBER = /^(\d{1,16}(?:\.\d{1,6})?)\s*([A-Za-z]*)$/

type Bounds = { min: number; max: number }

function numeric(
  type: string,
  unit: string,
  scale: Scale,
  initial: number,
  { min, max }: Bounds,
  about: string,
): Option<number> {
  const show = (value: number): string => showScaled(value, scale)
  const range = `${show(min)} to ${show(max)}`
  const parse = (raw: unknown): number => {
    const value = typeof raw === 'number' ? raw : parseScaled(raw, scale)
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new Error(`${quote(raw)} is not a ${type} from ${range}`)
    }
    return value
  }
  return { type, unit, default: initial, range, about, parse, show }
}

/** `"30s"` in the unit of the scale; NaN for what is not such text. A bare number is in the unit already. */
function parseScaled(raw: unknown, scale: Scale): number {
  const match = typeof raw === 'string' ? NUMBER.exec(raw.trim()) : null
  if (match === null) return Number.NaN
  const factor = match[2] === '' ? 1 : scale.get(match[2]!)
  return factor === undefined ? Number.NaN : Number(match[1]) * factor
}

/** `90s`, `1h`, `7d` or a number of ms; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const ms = parseScaled(text, IN_MS)
  return Number.isSafeInteger(ms) && ms > 0 ? ms : undefined
}

/** The value by its largest suffix that divides it: 3600000 ms as `1h`. */
function showScaled(value: number, scale: Scale): string {
  const largest = [...scale].reverse().find(([, factor]) => value !== 0 && value % factor === 0)
  return largest === undefined ? String(value) : `${value / largest[1]}${largest[0]}`
}

export const count = (initial: number, bounds: Bounds, unit: string, about: string): Option<number> =>
  numeric('number', unit, NO_SUFFIX, initial, bounds, about)

export const port = (initial: number, about: string): Option<number> =>
  numeric('port', '', NO_SUFFIX, initial, { min: 0, max: 65_535 }, about)

/** In ms. */
export const duration = (initial: number, bounds: Bounds, about: string): Option<number> =>
  numeric('duration', 'ms', IN_MS, initial, bounds, about)

export const seconds = (initial: number, bounds: Bounds, about: string): Option<number> =>
  numeric('duration', 's', IN_SECONDS, initial, bounds, about)

export const bytes = (initial: number, bounds: Bounds, about: string): Option<number> =>
  numeric('size', 'bytes', IN_BYTES, initial, bounds, about)

// ---------------------------------------------------------------- words

export function flag(initial: boolean, about: string): Option<boolean> {
  const parse = (raw: unknown): boolean => {
    if (raw === true || raw === 'true' || raw === '1') return true
    if (raw === false || raw === 'false' || raw === '0') return false
    throw new Error(`${quote(raw)} is neither true nor false`)
  }
  return { type: 'flag', unit: '', default: initial, range: 'true, false', about, parse, show: plain }
}

export function choice<const Name extends string>(
  initial: NoInfer<Name>,
  names: readonly Name[],
  about: string,
): Option<Name> {
  const parse = (raw: unknown): Name => {
    const found = names.find((name) => name === raw)
    if (found === undefined) throw new Error(`${quote(raw)} is none of ${names.join(', ')}`)
    return found
  }
  return { type: 'choice', unit: '', default: initial, range: names.join(', '), about, parse, show: plain }
}

export function text(initial: string, about: string): Option<string> {
  return {
    type: 'text',
    unit: '',
    default: initial,
    range: 'not empty',
    about,
    parse: parseText,
    show: plain,
  }
}

/** A path, made absolute: relative to the working directory, or to the folder of the file that names it. */
export function path<Initial extends string | null>(
  initial: Initial,
  about: string,
): Option<Initial | string> {
  const parse = (raw: unknown, { folder }: ParseContext): string => resolve(folder, parseText(raw))
  return { type: 'path', unit: '', default: initial, range: 'a path', about, parse, show: plain }
}

/** An address or a name to listen on. */
export function host(initial: string, about: string): Option<string> {
  const parse = (raw: unknown): string => {
    const value = parseText(raw)
    if (isIP(value) === 0 && !/^[A-Za-z0-9.-]+$/.test(value))
      throw new Error(`${quote(raw)} is not an address`)
    return value
  }
  return { type: 'address', unit: '', default: initial, range: 'an address', about, parse, show: plain }
}

export function url(protocols: readonly string[], about: string): Option<string | null> {
  const range = protocols.map((protocol) => `${protocol}//...`).join(', ')
  const parse = (raw: unknown): string => {
    const value = parseText(raw)
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw new Error(`${quote(raw)} is not a URL of the form ${range}`)
    }
    return value.replace(/\/$/, '')
  }
  return { type: 'URL', unit: '', default: null, range, about, parse, show: plain }
}

export function secret(about: string): Option<Secret | null> {
  const parse = (raw: unknown): Secret => {
    if (typeof raw !== 'string' || raw === '') throw new Error('is not a text')
    return new Secret(raw)
  }
  return { type: 'secret', unit: '', default: null, range: 'not empty', about, parse, show: plain }
}

/** Comma-separated in the environment, an array of text in the file. */
export function list<const Item extends string>(
  initial: readonly NoInfer<Item>[],
  range: string,
  about: string,
  parseItem: (item: string) => Item,
): Option<readonly Item[]> {
  const parse = (raw: unknown): readonly Item[] => {
    const items = typeof raw === 'string' ? raw.split(',') : raw
    if (!Array.isArray(items)) throw new Error(`${quote(raw)} is not a list`)
    return [...new Set(items.map((item) => parseItem(parseText(item).trim())))]
  }
  return { type: 'list', unit: '', default: initial, range, about, parse, show: (value) => value.join(',') }
}

export function parseText(raw: unknown): string {
  if (typeof raw !== 'string' || raw.trim() === '') throw new Error(`${quote(raw)} is not a text`)
  return raw
}

/** A refused value on one line, cut where it is long. */
export function quote(raw: unknown): string {
  const shown = JSON.stringify(raw) ?? String(raw)
  return shown.length > 80 ? `${shown.slice(0, 80)}...` : shown
}
