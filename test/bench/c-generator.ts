import { Child } from './child.ts'
import type { GeneratorOptions, GeneratorResult } from './generator.ts'

/** How our payload placeholders are called by the generator that speaks `key=value`. */
const PLACEHOLDERS: [ours: string, theirs: string][] = [
  ['{mark}', '{m}'],
  ['{id}', '{u}'],
  ['{to}', '{T}'],
  ['{fill}', '{x}'],
]

/**
 * Runs flow with an independent generator, a binary that takes `key=value` parameters and prints one JSON object: if both
 * measure the same, neither is the bottleneck and neither is blind.
 */
export function cGenerator(binary: string, core: number | undefined) {
  return async (options: GeneratorOptions): Promise<GeneratorResult> => {
    const command = [binary, ...cArguments(options)]
    await using child = new Child({ name: 'c-loadgen', command, core })
    await child.waitForExit()
    return readResult(child)
  }
}

function cArguments(options: GeneratorOptions): string[] {
  const payload = PLACEHOLDERS.reduce(
    (text, [ours, theirs]) => text.replace(ours, theirs),
    options.payload ?? '{mark}',
  )
  const values = {
    mode: 'flow',
    port: options.port,
    groups: options.groups,
    pubs: options.pubs,
    subs: options.subs,
    window: options.window,
    clean: options.persistent ? 0 : 1,
    warmup: options.warmup,
    dur: options.seconds,
    pubid: options.pubId,
    subid: options.subId,
    pubuser: options.pubUser,
    subuser: options.subUser,
    passfile: options.passwordsFile,
    tofile: options.targetsFile,
    pubtopic: options.pubTopic?.replaceAll('{t}', '{g}'),
    subtopic: options.subTopic,
    tmpl: payload,
    pids: options.pids,
  }
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
}

function readResult(child: Child): GeneratorResult {
  try {
    const result = JSON.parse(child.standardOutput) as Record<string, unknown>
    const faults = ['lost', 'dups', 'gaps', 'late', 'closed'].filter((fault) => Number(result[fault]) > 0)
    const problems = [
      ...faults.map((fault) => `${result[fault]} ${fault}`),
      ...('error' in result ? [`${result.error}`] : []),
    ]
    return {
      ok: problems.length === 0,
      problems,
      deliveriesPerSecond: result.deliveries_per_s,
      latencyMs: result.latency_ms,
      cpuPercent: { generator: result.cpu_gen, broker: result.cpu_broker },
      original: result,
    }
  } catch {
    return { ok: false, problems: [`${child.name} gave no result: ${child.logTail}`] }
  }
}
