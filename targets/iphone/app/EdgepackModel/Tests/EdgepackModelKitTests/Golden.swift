import CoreML
import Foundation
import XCTest

@testable import EdgepackModelKit

/// A tensor of a safetensors file; the bytes are little endian.
struct Stored {
    let type: String
    let shape: [Int]
    let bytes: Data

    var floats: [Float] { bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }

    var numbers: [Int] {
        bytes.withUnsafeBytes { raw in
            type == "I64" ? raw.bindMemory(to: Int64.self).map(Int.init) : raw.bindMemory(to: Int32.self).map(Int.init)
        }
    }
}

/// Tensors of a safetensors file by their names: 8 bytes of length, a header in JSON, the data.
func safetensors(_ file: URL) throws -> [String: Stored] {
    struct Entry: Decodable {
        let dtype: String
        let shape: [Int]
        let data_offsets: [Int]
    }
    let content = try Data(contentsOf: file)
    let length = content.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try JSONSerialization.jsonObject(with: content[8..<(8 + length)]) as? [String: Any] ?? [:]
    var found: [String: Stored] = [:]
    for (name, value) in header where name != "__metadata__" {
        let entry = try JSONDecoder().decode(Entry.self, from: JSONSerialization.data(withJSONObject: value))
        let start = 8 + length
        let bytes = Data(content[(start + entry.data_offsets[0])..<(start + entry.data_offsets[1])])
        found[name] = Stored(type: entry.dtype, shape: entry.shape, bytes: bytes)
    }
    return found
}

// edgepack:if text image generation
/// The golden inputs beside these tests: texts and images, with what they become.
func goldenInputs() throws -> [String: Stored] {
    let file = try XCTUnwrap(Bundle.module.url(forResource: "golden_inputs", withExtension: "safetensors"))
    return try safetensors(file)
}
// edgepack:end

extension Stored {
    /// One text, or the two of a pair.
    var texts: [String] {
        get throws {
            let value = try JSONSerialization.jsonObject(with: bytes, options: .fragmentsAllowed)
            return try (value as? [String]) ?? [XCTUnwrap(value as? String)]
        }
    }

    // edgepack:if image
    /// An image of bytes.
    var image: Pixels {
        get throws {
            let channels = shape.count > 2 ? shape[2] : 1
            return try Pixels(height: shape[0], width: shape[1], channels: channels, bytes: [UInt8](bytes))
        }
    }
    // edgepack:end
}

/// The numbers of golden vectors whose names end in `suffix`, such as ".text".
func numbers(_ tensors: [String: Stored], _ suffix: String) -> [String] {
    tensors.keys.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }.sorted()
}

/// How alike two vectors are.
func cosine(_ a: [Float], _ b: [Float]) -> Double {
    let dot = { (x: [Float], y: [Float]) in zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } }
    return a.count == b.count ? dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot() : -1
}

/// The model answers the golden vectors as the original did, from the examples on.
func checkGolden(
    _ bundle: ModelBundle, _ name: String = "model", kind: String, answer: (Stored) async throws -> [Float]
) async throws {
    let facts = try XCTUnwrap(bundle.manifest.models[name]).golden
    let tensors = try safetensors(bundle.file(facts.file))
    let all = numbers(tensors, ".output.\(facts.output)")
    XCTAssertFalse(all.isEmpty, "there are no golden vectors")
    for number in all {
        let example = try XCTUnwrap(tensors["\(number).\(kind)"])
        let original = try XCTUnwrap(tensors["\(number).output.\(facts.output)"]).floats
        let found = cosine(try await answer(example), original)
        XCTAssertGreaterThanOrEqual(found, facts.leastCosine, "golden vector \(number)")
    }
}
