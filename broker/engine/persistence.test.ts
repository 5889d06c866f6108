import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'

/** What `abstract.js` of aedes-persistence 10.3 holds. */
const ABSTRACT_TESTS = 48

test.each(['sqlite', 'postgres'])(
  'the persistence passes the abstract suite of aedes-persistence: %s',
  {
    timeout: 120_000,
  },
  async (engine) => {
    const suite = new URL('./testing/persistence-suite.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--test-reporter=tap', suite, engine], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let report = ''
    child.stdout.on('data', (chunk: Buffer) => {
      report += chunk
    })
    const [code] = await once(child, 'close')
    expect(report.match(/^not ok .*$/gm) ?? []).toEqual([])
    expect(report.match(/^ok /gm)).toHaveLength(ABSTRACT_TESTS)
    expect(code).toBe(0)
  },
)
