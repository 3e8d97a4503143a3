import type {Version} from '../pg/lsn.ts';

/** Where a node hands out its replica, on its change-streamer port. */
export const SNAPSHOT_PATH = '/replication/v1/snapshot';

/** A replica that is handed out, as its headers tell it. */
export interface SnapshotOffer {
  readonly replicaVersion: Version;
  /** What the file holds, and from where the receiver subscribes. */
  readonly watermark: Version;
  readonly bytes: number;
  /** Of the whole file, base64. */
  readonly sha256: string;
}

/** Why a node cannot hand out its replica now: the body of a 503 or 507, as JSON. */
export interface SnapshotRefusal {
  readonly reason: 'starting' | 'preparing' | 'busy' | 'no-room';
  readonly message: string;
}

export const etagOf = ({replicaVersion, watermark}: SnapshotOffer): string =>
  `"${replicaVersion}-${watermark}"`;

export const offerHeaders = (offer: SnapshotOffer): Readonly<Record<string, string>> => ({
  'content-type': 'application/vnd.sqlite3',
  'cache-control': 'no-store',
  'accept-ranges': 'bytes',
  etag: etagOf(offer),
  'x-zero-replica-version': offer.replicaVersion,
  'x-zero-watermark': offer.watermark,
  // RFC 9530: of the whole representation, also where a part is sent.
  'repr-digest': `sha-256=:${offer.sha256}:`,
});

/** What an answer with status 200 or 206 offers; null if it is no snapshot. */
export const readOffer = (
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): SnapshotOffer | null => {
  const text = (name: string) => {
    const value = headers[name];
    return typeof value === 'string' ? value : '';
  };
  const sha256 = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(text('repr-digest'))?.[1];
  const range = /^bytes \d+-\d+\/(\d+)$/.exec(text('content-range'))?.[1];
  const bytes = Number(range ?? text('content-length'));
  const [replicaVersion, watermark] = [text('x-zero-replica-version'), text('x-zero-watermark')];
  if (!sha256 || !replicaVersion || !watermark || !(bytes > 0)) return null;
  return {replicaVersion, watermark, bytes, sha256};
};
