import CoreML
import Foundation

/// A language model token by token, its keys and values in the model's state.
///
/// Core ML changes the state in place, so that one answer at a time uses it.
final class Decoder {
    private let model: MLModel
    private let state: MLState
    private(set) var count = 0

    init(model: MLModel) {
        self.model = model
        state = model.makeState()
    }

    /// Returns the logits after the last of `ids`, which follow those that were given before; float [vocabulary].
    func logits(_ ids: [Int]) async throws -> [Float] {
        let inputs: [String: MLFeatureValue] = [
            "inputIds": try Texts.row(ids),
            "causalMask": MLFeatureValue(multiArray: try mask(ids.count)),
        ]
        let outputs: MLFeatureProvider
        do {
            outputs = try await model.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs), using: state)
        } catch {
            throw ModelError.runtime("the model cannot be run: \(error.localizedDescription)")
        }
        count += ids.count
        guard let array = outputs.featureValue(for: "logits")?.multiArrayValue else {
            throw ModelError.runtime("the model gives no logits")
        }
        return last(array, row: ids.count - 1)
    }

    /// What is added to the scores, float16 [1, 1, new, all]: 0 shows a token, -30000 hides one that comes later.
    private func mask(_ new: Int) throws -> MLMultiArray {
        let all = count + new
        let array = try MLMultiArray(shape: [1, 1, NSNumber(value: new), NSNumber(value: all)], dataType: .float16)
        array.withUnsafeMutableBytes { bytes, strides in
            let place = bytes.bindMemory(to: UInt16.self)
            for row in 0..<new {
                for column in 0..<all {
                    place[row * strides[2] + column * strides[3]] = column > count + row ? Self.hidden : 0
                }
            }
        }
        return array
    }

    private func last(_ array: MLMultiArray, row: Int) -> [Float] {
        let vocabulary = array.shape[2].intValue
        return array.withUnsafeBytes { bytes in
            let (start, step) = (row * array.strides[1].intValue, array.strides[2].intValue)
            if array.dataType == .float32 {
                let place = bytes.bindMemory(to: Float.self)
                return (0..<vocabulary).map { place[start + $0 * step] }
            }
            let place = bytes.bindMemory(to: UInt16.self)
            return (0..<vocabulary).map { Self.float(place[start + $0 * step]) }
        }
    }

    /// A half-precision number's value; Swift has the type on arm64 alone.
    static func float(_ half: UInt16) -> Float {
        let sign: Float = half & 0x8000 == 0 ? 1 : -1
        let (exponent, fraction) = (Int(half >> 10 & 0x1f), Float(half & 0x3ff))
        switch exponent {
        case 0: return sign * fraction * Float(sign: .plus, exponent: -24, significand: 1)
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
    }

    private static let hidden: UInt16 = 0xF753  // -30000 in half precision
}
