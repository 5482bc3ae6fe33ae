import CoreML
import Foundation
import Tokenizers

/// Texts to token ids, by the bundle's tokenizer.json.
struct Texts: Sendable {
    let tokenizer: any Tokenizer
    private let text: Manifest.Text?
    private let lengths: [Int]

    /// Reads the tokenizer in the bundle, without a network. Throws `ModelError.tokenizer`.
    init(bundle: ModelBundle, model: String = "model") async throws {
        text = bundle.manifest.processing.text
        let shape = bundle.manifest.models[model]?.inputs.first?.shape.last
        lengths = shape?.number.map { [$0] } ?? shape?.text?.split(separator: "|").compactMap { Int($0) } ?? []
        do {
            tokenizer = try await AutoTokenizer.from(modelFolder: bundle.folder)
        } catch {
            throw ModelError.tokenizer("tokenizer.json cannot be used: \(error.localizedDescription)")
        }
    }

    /// The token ids of `text`, cut to what the model takes, special tokens included.
    func ids(_ given: String) -> [Int] {
        let all = tokenizer.encode(text: given, addSpecialTokens: true)
        guard let text, all.count > text.maxLength else { return all }
        let plain = tokenizer.encode(text: given, addSpecialTokens: false)
        let added = all.count - plain.count
        let before = all.indices.first { all[$0...].starts(with: plain) } ?? 0
        let room = text.maxLength - added
        let kept = text.truncationSide == "left" ? plain.suffix(room) : plain.prefix(room)
        return all.prefix(before) + kept + all.suffix(added - before)
    }

    /// What the model takes of token ids: int32 [1, tokens], filled up where it takes certain lengths alone.
    func inputs(_ ids: [Int]) throws -> [String: MLFeatureValue] {
        guard let text else { throw ModelError.bundleDamaged("edgepack.json does not say how texts become inputs") }
        guard let length = lengths.isEmpty ? ids.count : lengths.first(where: { $0 >= ids.count }) else { throw ModelError.input("a text of \(ids.count) tokens is too long") }
        let fill = length - ids.count
        var made: [String: MLFeatureValue] = [:]
        for name in text.inputs {
            switch name {
            case "input_ids":
                made[name] = try Self.row(ids + Array(repeating: text.padId, count: fill))
            case "attention_mask":
                made[name] = try Self.row(Array(repeating: 1, count: ids.count) + Array(repeating: 0, count: fill))
            case "token_type_ids":
                made[name] = try Self.row(Array(repeating: 0, count: length))
            default:
                throw ModelError.bundleDamaged("edgepack.json names the input \(name), which texts do not become")
            }
        }
        return made
    }

    /// Values as int32 [1, count].
    static func row(_ values: [Int]) throws -> MLFeatureValue {
        let array = try MLMultiArray(shape: [1, NSNumber(value: values.count)], dataType: .int32)
        array.withUnsafeMutableBytes { bytes, _ in
            let place = bytes.bindMemory(to: Int32.self)
            for (index, value) in values.enumerated() { place[index] = Int32(value) }
        }
        return MLFeatureValue(multiArray: array)
    }
}
