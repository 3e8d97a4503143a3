/** Where `fixture-replay record` attaches to a running server, and the Upgrade token by which it asks. */
export const RECORD_PATH = '/record';
export const RECORD_PROTOCOL = 'zerostream-record';

/** What is wanted of a sync worker: the conversation of its clients. */
export interface ConversationRequest {
  /** Version of the snapshot that the recording begins with: nothing older can be replayed. */
  readonly from: string;
  /** Lets groups that are there already begin anew, since only of those everything is known. */
  readonly reconnect: boolean;
}

/** Of which worker, by its index; null: the stream is wanted. */
export type RecordRequest = (ConversationRequest & {readonly worker: number}) | null;

export const recordPath = (request: RecordRequest): string => {
  if (!request) return RECORD_PATH;
  const {worker, from, reconnect} = request;
  return `${RECORD_PATH}?${new URLSearchParams({worker: String(worker), from, reconnect: String(reconnect)})}`;
};

export const parseRecordPath = (params: URLSearchParams): RecordRequest =>
  params.has('worker')
    ? {
        worker: Number(params.get('worker')),
        from: params.get('from') ?? '',
        reconnect: params.get('reconnect') === 'true',
      }
    : null;
