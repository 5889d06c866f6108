/** Latencies, counted in buckets so that millions of them take no memory. */
const LINEAR_BITS = 7
const STEPS = 1 << LINEAR_BITS
const VALUE_MAX = 2 ** 31 - 1

/** Log-linear counts of microseconds: exact below 128, then 128 steps an octave, so that a bucket is within 0.8 %. */
export class Histogram {
  private readonly buckets = new Float64Array((32 - LINEAR_BITS) * STEPS)
  private sum = 0
  count = 0
  max = 0

  record(us: number): void {
    const value = Math.min(Math.max(us, 0), VALUE_MAX)
    this.buckets[bucketOf(value)]! += 1
    this.count += 1
    this.sum += value
    if (value > this.max) this.max = value
  }

  /** The lower bound of the bucket that holds the given share (0 to 1) of the values, in microseconds; 0 when empty. */
  percentile(share: number): number {
    if (this.count === 0) return 0
    const rank = Math.min(Math.max(Math.ceil(share * this.count), 1), this.count)
    if (rank === this.count) return this.max
    let seen = 0
    for (let bucket = 0; bucket < this.buckets.length; bucket++) {
      seen += this.buckets[bucket]!
      if (seen >= rank) return lowerBoundOf(bucket)
    }
    return this.max
  }

  summaryMs(): LatencySummary {
    const ms = (us: number) => Math.round(us) / 1000
    return {
      count: this.count,
      mean: ms(this.count === 0 ? 0 : this.sum / this.count),
      p50: ms(this.percentile(0.5)),
      p90: ms(this.percentile(0.9)),
      p99: ms(this.percentile(0.99)),
      p999: ms(this.percentile(0.999)),
      max: ms(this.max),
    }
  }
}

/** Milliseconds, except `count`. */
interface LatencySummary {
  count: number
  mean: number
  p50: number
  p90: number
  p99: number
  p999: number
  max: number
}

function bucketOf(value: number): number {
  if (value < STEPS) return value
  const shift = 31 - Math.clz32(value) - LINEAR_BITS
  return (shift + 1) * STEPS + ((value >> shift) & (STEPS - 1))
}

function lowerBoundOf(bucket: number): number {
  if (bucket < STEPS) return bucket
  const shift = Math.floor(bucket / STEPS) - 1
  return (STEPS + (bucket % STEPS)) * 2 ** shift
}
