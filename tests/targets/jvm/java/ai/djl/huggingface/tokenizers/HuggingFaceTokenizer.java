package ai.djl.huggingface.tokenizers;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import standin.Python;

public final class HuggingFaceTokenizer implements AutoCloseable {
    private final String path;
    private final JSONObject options;

    private HuggingFaceTokenizer(String path, JSONObject options) {
        this.path = path;
        this.options = options;
    }

    public static HuggingFaceTokenizer newInstance(Path modelPath, Map<String, String> options) throws IOException {
        return new HuggingFaceTokenizer(modelPath.toString(), new JSONObject(options));
    }

    public Encoding encode(String text, boolean addSpecialTokens, boolean withOverflowingTokens) {
        return encoded(new JSONArray().put(text), addSpecialTokens);
    }

    public Encoding encode(String text, String textPair, boolean addSpecialTokens, boolean withOverflowingTokens) {
        return encoded(new JSONArray().put(text).put(textPair), addSpecialTokens);
    }

    public String decode(long[] ids, boolean skipSpecialTokens) {
        JSONArray given = new JSONArray();
        for (long id : ids) given.put(id);
        try {
            return ask("tokenizers.decode", new JSONObject().put("ids", given).put("skip", skipSpecialTokens)).getString("text");
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    private Encoding encoded(JSONArray texts, boolean special) {
        try {
            return new Encoding(ask("tokenizers.encode", new JSONObject().put("texts", texts).put("special", special)));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    private JSONObject ask(String what, JSONObject given) throws JSONException {
        try {
            return Python.call(what, given.put("path", path).put("options", options));
        } catch (Python.Failure error) {
            throw new IllegalStateException(error.getMessage());
        }
    }

    @Override
    public void close() {}
}
