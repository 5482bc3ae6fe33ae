import CoreML
import Foundation
import Tokenizers

/// @model@: prompt and answer together are at most @max_length@ tokens.
public final class TextGeneration: Sendable {
    /// How an answer is made.
    public struct Options: Sendable {
        /// The most new tokens.
        public var maxTokens = 256
        /// 0 takes the likeliest token each time.
        public var temperature = 0.0
        /// Leaves out the least likely tokens, of which all together have 1 - topP.
        public var topP = 1.0
        /// Texts that the answer ends before.
        public var stop: [String] = []
        /// The same seed gives the same text again.
        public var seed: UInt64?

        public init() {}
    }

    // edgepack:if chat
    /// A turn of a conversation: "system", "user" or "assistant", and what was said.
    public struct Message: Sendable {
        public let role: String
        public let content: String

        public init(role: String, content: String) {
            (self.role, self.content) = (role, content)
        }
    }

    // edgepack:end
    private let settings: Manifest.Generation
    private let texts: Texts
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first answer that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let settings = bundle.manifest.processing.generation, let entry = bundle.manifest.models["model"] else {
            throw ModelError.bundleDamaged("edgepack.json does not say how text is generated")
        }
        guard entry.file.hasSuffix(".mlpackage"), entry.inputs.contains(where: \.ranged) else {
            throw ModelError.bundleDamaged("this code runs one package for any number of tokens, not \(entry.file)")
        }
        self.settings = settings
        texts = try await Texts(bundle: bundle)
        model = try CoreMLModel(bundle: bundle, units: units, flexible: .cpuAndGPU)
    }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        let loaded = try await model.load(progress: progress)
        _ = try await Decoder(model: loaded).logits([settings.eosIds.first ?? 0])
        progress(1)
    }

    /// Returns the pieces of text that follow `prompt`, as they are made.
    ///
    /// It ends at the model's end token, before a stop text, after `maxTokens`, or where the context is full. A task
    /// that is cancelled ends it after a token. Throws `ModelError.input` for a prompt that is empty or too long.
    public func generate(_ prompt: String, options: Options = Options()) -> AsyncThrowingStream<String, any Error> {
        pieces(tokens(prompt), options)
    }

    // edgepack:if chat
    /// Returns the pieces of the answer to a conversation, which goes through the model's chat template.
    public func generate(
        _ messages: [Message], options: Options = Options()
    ) throws -> AsyncThrowingStream<String, any Error> {
        pieces(try tokens(messages), options)
    }

    /// Returns the token ids of a conversation, as `generate` begins with.
    public func tokens(_ messages: [Message]) throws -> [Int] {
        do {
            return try texts.tokenizer.applyChatTemplate(
                messages: messages.map { ["role": $0.role, "content": $0.content] })
        } catch {
            throw ModelError.input("the model's chat template refuses this conversation: \(error.localizedDescription)")
        }
    }

    // edgepack:end
    /// Returns the token ids of a prompt, as `generate` begins with.
    public func tokens(_ prompt: String) -> [Int] { texts.ids(prompt) }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func logits(_ ids: [Int]) async throws -> [Float] { try await Decoder(model: model.load()).logits(ids) }

    private func pieces(_ prompt: [Int], _ options: Options) -> AsyncThrowingStream<String, any Error> {
        AsyncThrowingStream { stream in
            let task = Task {
                do {
                    try await answer(prompt, options) { stream.yield($0) }
                    stream.finish()
                } catch {
                    stream.finish(throwing: error)
                }
            }
            stream.onTermination = { _ in task.cancel() }
        }
    }

    private func answer(_ prompt: [Int], _ options: Options, give: (String) -> Void) async throws {
        if prompt.isEmpty { throw ModelError.input("the prompt is empty") }
        if prompt.count > settings.maxLength {
            throw ModelError.input("the prompt has \(prompt.count) tokens; the model takes \(settings.maxLength)")
        }
        let decoder = Decoder(model: try await model.load())
        var sampler = Sampler(
            temperature: options.temperature, topP: options.topP, penalty: settings.repetitionPenalty,
            seed: options.seed, prompt: prompt)
        var text = Streamed(tokenizer: texts.tokenizer, prompt: prompt, stops: options.stop)
        var logits: [Float] = []
        for start in stride(from: 0, to: prompt.count, by: Self.chunk) {
            try Task.checkCancellation()
            logits = try await decoder.logits(Array(prompt[start..<min(start + Self.chunk, prompt.count)]))
        }
        var count = 0
        while count < options.maxTokens {
            try Task.checkCancellation()
            let token = sampler.next(logits)
            count += 1
            if settings.eosIds.contains(token) { break }
            let piece = text.add(token)
            if !piece.isEmpty { give(piece) }
            if text.ended || decoder.count == settings.maxLength { break }
            logits = try await decoder.logits([token])
        }
        let last = text.rest()
        if !last.isEmpty { give(last) }
    }

    private static let chunk = 256  // tokens of a prompt at once: the scores take heads x chunk x total numbers
}
