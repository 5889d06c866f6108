/**
 * The arrows of the house: `clients -> protocol <- services <- broker <- main`.
 *
 * Reads every import of the sources. A part may import itself, what it points at, and packages; the failure says
 * which import is wrong and where the code belongs instead.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const REPO = new URL('../../', import.meta.url).pathname

/** What each part may import beside itself. `config` is for the composition root, and for tests. */
const MAY_IMPORT: ReadonlyMap<string, readonly string[]> = new Map([
  ['protocol', []],
  ['clients', ['protocol']],
  ['services', ['protocol']],
  ['broker', ['protocol', 'services']],
  ['config', []],
  ['main', ['protocol', 'services', 'broker', 'clients', 'config']],
])

const ADVICE: ReadonlyMap<string, string> = new Map([
  ['protocol', 'the wire contract stands alone: move what it needs into protocol/'],
  ['clients', 'a client knows the contract and nothing of the server: use protocol/'],
  ['services', 'declare a port (an interface) in services/ that broker/ implements and main.ts connects'],
  ['broker', 'settings arrive as constructor arguments from main.ts'],
  ['config', 'the configuration is read before anything else exists'],
])

/** Folders of the store's operations: each builds on those before it, never on a later one. */
const OPERATIONS = 'services/store/operations/'
const LAYERS_OF_OPERATIONS = [
  'entries',
  'media',
  'groups',
  'people',
  'messages',
  'conversations',
  'history',
  'operator',
  'accounts',
]

/** The files of the root are the composition root, but for the configuration. */
const PART_OF_FILE: readonly [RegExp, string][] = [
  [/^(config\.ts|config\/)/, 'config'],
  [/^([\w-]+\.ts$|serve\/)/, 'main'],
  [/^(protocol|clients|services|broker)\//, ''],
]

const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm

function partOf(path: string): string | undefined {
  for (const [pattern, part] of PART_OF_FILE) {
    const match = pattern.exec(path)
    if (match) return part === '' ? match[1] : part
  }
  return undefined
}

function listFiles(folder: string): string[] {
  return readdirSync(join(REPO, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(REPO, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes('node_modules/'))
}

function readFolders(): string[] {
  return readdirSync(REPO, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && partOf(`${entry.name}/`) !== undefined)
    .map((entry) => entry.name)
}

const rootFiles = readdirSync(REPO).filter((name) => name !== 'vitest.config.ts')
const SOURCES = [...rootFiles, ...readFolders().flatMap(listFiles)].filter((path) => path.endsWith('.ts'))
/** Tests, and what only they use, beside the code that they try. */
const OF_TESTS = /\.test\.ts$|\/testing\//
const SHIPPED = SOURCES.filter((path) => !OF_TESTS.test(path))

function importsOf(path: string): string[] {
  const text = readFileSync(join(REPO, path), 'utf8')
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2]!)
}

/** The imports of a file that break an arrow, each with advice. */
function brokenArrows(path: string, imports: readonly string[]): string[] {
  const part = partOf(path)!
  const allowed = [part, ...(MAY_IMPORT.get(part) ?? [])]
  return imports
    .filter((name) => name.startsWith('.'))
    .map((name) => relative(REPO, join(REPO, dirname(path), name)))
    .filter((target) => target.endsWith('.ts') && !allowed.includes(partOf(target) ?? 'outside'))
    .map((target) => `${path} imports ${target}: ${ADVICE.get(part) ?? 'only downwards'}`)
}

test('the arrows are kept: clients -> protocol <- services <- broker <- main', () => {
  expect(SHIPPED.length).toBeGreaterThan(50)
  expect(SHIPPED.flatMap((path) => brokenArrows(path, importsOf(path)))).toEqual([])
})

test('a broken arrow would be found, in every form of an import', () => {
  expect(brokenArrows('services/auth/token.ts', ['../../broker/gate/x.ts'])).toHaveLength(1)
  expect(brokenArrows('clients/sdk/x.ts', ['../../services/dispatcher.ts'])).toHaveLength(1)
  expect(brokenArrows('protocol/ids.ts', ['../config.ts'])).toHaveLength(1)
  expect(brokenArrows('broker/gate/x.ts', ['../../protocol/ids.ts', '../../services/dispatcher.ts'])).toEqual(
    [],
  )
  const forms = `import a from './a.ts'
import type { B,
  C } from './b.ts'
export { d } from './d.ts'
export * from './e.ts'
import './f.ts'
const g = await import('./g.ts')
`
  const found = [...forms.matchAll(IMPORT)].map((match) => match[1] ?? match[2])
  expect(found).toEqual(['./a.ts', './b.ts', './d.ts', './e.ts', './f.ts', './g.ts'])
})

test("the store's operations build on each other one way", () => {
  const layerOf = (path: string) => LAYERS_OF_OPERATIONS.indexOf(path.slice(OPERATIONS.length).split('/')[0]!)
  const inFolders = SHIPPED.filter((path) => path.startsWith(OPERATIONS) && layerOf(path) !== -1)
  const wrong = inFolders.flatMap((path) =>
    importsOf(path)
      .map((name) => relative(REPO, join(REPO, dirname(path), name)))
      .filter((target) => target.startsWith(OPERATIONS) && layerOf(target) > layerOf(path))
      .map((target) => `${path} imports ${target}`),
  )
  const folders = new Set(inFolders.map((path) => path.slice(OPERATIONS.length).split('/')[0]))
  expect([...folders].sort()).toEqual([...LAYERS_OF_OPERATIONS].sort())
  expect(wrong).toEqual([])
})

test('nothing that is shipped imports the tests', () => {
  const wrong = SHIPPED.flatMap((path) =>
    importsOf(path)
      .filter((name) => OF_TESTS.test(name) || /(^|\/)test\//.test(name))
      .map((name) => `${path} imports ${name}`),
  )
  expect(wrong).toEqual([])
})

test('only the start of a program reads the environment', () => {
  // The server's settings come through config.ts; a client program has settings of its own.
  const mayRead = (path: string) => /^(main|program|config)\.ts$/.test(path) || path.startsWith('clients/')
  const wrong = SHIPPED.filter(
    (path) =>
      !mayRead(path) && /\bprocess\s*(\.|\[\s*['"])\s*env\b/.test(readFileSync(join(REPO, path), 'utf8')),
  )
  expect(wrong, 'take the value as an argument; config.ts has the table of settings').toEqual([])
})

test('no file is named utils or helpers: code lives beside its caller until it has a name', () => {
  const all = [...SOURCES, ...listFiles('test')]
  expect(all.filter((path) => /(^|[/-])(utils?|helpers?|misc|common)(\.|\/|$)/i.test(path))).toEqual([])
})

test('no file of the server is so long that it holds a second idea', () => {
  const LINES_MAX = 420
  const long = SHIPPED.map((path) => ({
    path,
    lines: readFileSync(join(REPO, path), 'utf8').split('\n').length,
  }))
  expect(long.filter(({ lines }) => lines > LINES_MAX)).toEqual([])
})
